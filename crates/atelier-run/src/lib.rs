//! Joins the parts: the steps of 'atelier run' and of an environment's life.
