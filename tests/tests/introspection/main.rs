//! What the server says of itself and of its commands, beside redis-server 7.0.

mod command_docs;
