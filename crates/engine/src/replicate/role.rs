//! Changing between primary and replica, at one point of the transaction order.

use crate::coordinator::{Undecided, cut};
use crate::engine::{Role, new_replid};
use crate::thread::Thread;
use crate::waiter::Outcome;
use damselfly_journal::Lsn;
use damselfly_replication::primary::FlowEnd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;

/// Stops taking writes of clients. The next LSN of each shard at that point.
pub(super) async fn follow(thread: &Rc<Thread>) -> Vec<Lsn> {
    thread.engine.set_role(Role::Replica);
    change(thread, Role::Replica).await
}

/// Takes writes of clients from here on, and says where the data set left the history that it followed.
pub(super) async fn lead(thread: &Rc<Thread>) {
    let engine = &thread.engine;
    *engine.redis_position.lock().await = None;
    // Nobody writes here yet: the LSNs stand still until the cut below.
    let next = thread.on_all_shards(|core| core.journal.next_lsn()).await;
    let change_of_lineage = engine.change_lineage(|lineage| lineage.promoted(new_replid(), &next));
    if change_of_lineage.end_replicas {
        engine.end_replicas("this server was promoted");
    }
    thread
        .on_all_threads(move |thread| {
            if change_of_lineage.end_replicas {
                thread.flows.end_all(&FlowEnd::Session {
                    why: "this server was promoted".to_owned(),
                });
            }
            if change_of_lineage.restart_journal {
                thread.try_with_core(|core| core.journal.start_at(Lsn::FIRST));
            }
        })
        .await;
    change(thread, Role::Primary).await;
    engine.set_loading(false);
    engine.set_role(Role::Primary);
}

/// Tells every shard its new role at one point. The next LSN of each there.
pub(crate) async fn change(thread: &Rc<Thread>, role: Role) -> Vec<Lsn> {
    let next = Arc::new(Mutex::new(vec![Lsn::FIRST; thread.engine.mesh.shards()]));
    let collected = next.clone();
    cut(thread, Undecided::Revoked, move |shard| {
        let next = collected.clone();
        Box::new(move || {
            let lsn = Thread::current().with_core(|core| {
                core.is_replica = role == Role::Replica;
                core.relays = core.relays && core.is_replica;
                if core.is_replica {
                    core.unblock_all(&Outcome::RoleChanged);
                }
                core.journal.next_lsn()
            });
            next.lock().expect("nobody panics while storing a number")[shard] = lsn;
        })
    })
    .await;
    std::mem::take(&mut *next.lock().expect("nobody panics while storing a number"))
}
