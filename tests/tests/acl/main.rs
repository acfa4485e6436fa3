//! Access control beside `redis-server` 7.0: who may do what, how rules are read and shown, files of users, and links that
//! authenticate.

mod files;
mod links;
mod matrix;
mod pair;
mod rules;
mod sessions;
