//! Replication over the engine: the engine as both ends' data set, and the commands of it.

mod apply;
mod primary;
mod replica;

pub use primary::{EngineDataSet, EngineShard, EngineSnapshot};
pub use replica::EngineFlow;
