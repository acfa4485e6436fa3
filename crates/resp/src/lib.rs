//! RESP2 and RESP3 codec: requests, inline commands and replies, incremental and bounded.
