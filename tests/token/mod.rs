mod scopes;
mod secrets;
