//! State of Atelier: the database pool, its migrations and the job journal.
