//! Who gets in, and what they may do then: admin ports, Unix sockets, strangers, passwords of links, and every command of
//! administration and replication tried by those who may not.

mod links;
mod ports;
mod secrets;
mod strangers;
mod table;
