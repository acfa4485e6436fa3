//! The damselfly server: listeners, connections, configuration; a thin binary and a library to embed it.
