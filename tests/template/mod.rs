mod build;

mod machines;
