//! Raw byte blocks: allocate a copy, allocate zeroed, free.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};

fn layout(len: usize) -> Layout {
    Layout::array::<u8>(len).expect("a block is never longer than isize::MAX")
}

/// A new block that holds `bytes`. `bytes` must not be empty.
pub(super) fn copy_of(bytes: &[u8]) -> *mut u8 {
    let block = uninit(bytes.len());
    // SAFETY: `block` is valid for `bytes.len()` writes and fresh, so it can't overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), block, bytes.len()) };
    block
}

/// A new block of `len > 0` bytes, not yet written.
pub(super) fn uninit(len: usize) -> *mut u8 {
    assert!(len > 0, "blocks are never empty");
    // SAFETY: the size is not zero.
    let block = unsafe { alloc(layout(len)) };
    if block.is_null() {
        handle_alloc_error(layout(len))
    }
    block
}

/// Grows or shrinks a block, keeping its first bytes.
///
/// # Safety
/// `block` came from this module with `old_len` bytes and is not used after this call. `new_len > 0`.
pub(super) unsafe fn resize(block: *mut u8, old_len: usize, new_len: usize) -> *mut u8 {
    assert!(new_len > 0, "blocks are never empty");
    let target = layout(new_len);
    // SAFETY: the caller's promise; the new size is not zero and was checked by `layout`.
    let block = unsafe { realloc(block, layout(old_len), new_len) };
    if block.is_null() {
        handle_alloc_error(target)
    }
    block
}

/// Frees a block.
///
/// # Safety
/// `block` came from this module with `len` bytes and is not used after this call.
pub(super) unsafe fn free(block: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { dealloc(block, layout(len)) };
}
