//! Handles, to be sent anywhere, of values that live on one thread.

use std::{
    any::Any,
    cell::RefCell,
    collections::HashMap,
    fmt,
    marker::PhantomData,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static VALUES: RefCell<HashMap<u64, Rc<dyn Any>>> = RefCell::default();
}

/// Names a value that stays on its thread; the name itself may be sent around.
///
/// For data sets in one thread: the traits want handles that are `Send`, since an engine with many threads needs that.
///
/// ```
/// use damselfly_replication::OnThread;
/// let map = OnThread::new(std::cell::RefCell::new(std::collections::BTreeMap::new()));
/// map.get().borrow_mut().insert("key", "value");
/// let handle = map.clone();
/// assert_eq!(handle.get().borrow().len(), 1);
/// map.forget();
/// ```
pub struct OnThread<T> {
    id: u64,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> OnThread<T> {
    /// Keeps `value` on the present thread until [`forget`](Self::forget), or the thread's end.
    pub fn new(value: T) -> OnThread<T> {
        let id = NEXT.fetch_add(1, Relaxed);
        VALUES.with_borrow_mut(|values| values.insert(id, Rc::new(value)));
        OnThread {
            id,
            value: PhantomData,
        }
    }

    /// The value.
    ///
    /// # Panics
    /// On another thread, or when it was forgotten.
    pub fn get(&self) -> Rc<T> {
        let found = VALUES.with_borrow(|values| values.get(&self.id).cloned());
        let value =
            found.expect("the handle is used on its value's thread, before it is forgotten");
        value
            .downcast()
            .unwrap_or_else(|_| unreachable!("ids are never given twice"))
    }

    /// Lets the value go; handles of it are of no use any more.
    pub fn forget(self) {
        let value = VALUES.with_borrow_mut(|values| values.remove(&self.id));
        drop(value);
    }
}

impl<T> Clone for OnThread<T> {
    fn clone(&self) -> Self {
        OnThread {
            id: self.id,
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for OnThread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnThread({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_around_but_its_value_does_not() {
        let handle = OnThread::new(Rc::new(5));
        let elsewhere = handle.clone();
        let result =
            std::thread::spawn(move || std::panic::catch_unwind(|| **elsewhere.get()).is_err())
                .join();
        assert!(result.expect("no panic outside"));
        assert_eq!(**handle.get(), 5);
    }
}
