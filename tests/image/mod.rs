mod hostile;
mod import;
mod pull;
mod remove;
