//! Stepping and resetting a MuJoCo task allocates nothing, neither here nor inside MuJoCo; a file of
//! its own, since it counts for the whole process.
#![cfg(feature = "mujoco")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use envs::mujoco::tasks;
use envs::{Action, Environment, make};
use mujoco_rs::mujoco_c::{mju_user_free, mju_user_malloc};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

fn count() {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
}

struct Counting;

// SAFETY: hands everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// MuJoCo asks for memory of this alignment, and frees without saying how much.
const ALIGNMENT: usize = 64;

unsafe extern "C" fn allocate(size: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size + ALIGNMENT, ALIGNMENT) else {
        return ptr::null_mut();
    };
    // SAFETY: the layout has a size; its head, of one alignment, keeps it.
    unsafe {
        let start = ALLOCATOR.alloc(layout);
        start.cast::<usize>().write(layout.size());
        start.add(ALIGNMENT).cast()
    }
}

unsafe extern "C" fn free(pointer: *mut c_void) {
    if pointer.is_null() {
        return;
    }
    // SAFETY: the pointer came from `allocate`.
    unsafe {
        let start = pointer.cast::<u8>().sub(ALIGNMENT);
        let size = start.cast::<usize>().read();
        ALLOCATOR.dealloc(start, Layout::from_size_align_unchecked(size, ALIGNMENT));
    }
}

#[test]
fn steps_and_resets_allocate_nothing() {
    // SAFETY: before MuJoCo is used at all, and this is the only test of the process.
    unsafe {
        mju_user_malloc = Some(allocate);
        mju_user_free = Some(free);
    }
    for task in tasks() {
        let id = task.spec().id;
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let mut environment = make(id).unwrap();
        let mut observation = vec![0.0; environment.spec().observation_dim];
        let actions = vec![0.3; environment.spec().action_space.dim()];
        environment.reset(Some(1), &mut observation);
        let start = ALLOCATIONS.load(Ordering::Relaxed);
        // The model, the data and the vectors: the counters work.
        assert!(start > before + 5);
        let mut resets = 0;
        for _ in 0..300 {
            let step = environment.step(Action::Continuous(&actions), &mut observation).unwrap();
            if step.done() {
                environment.reset(None, &mut observation);
                resets += 1;
            }
        }
        let count = ALLOCATIONS.load(Ordering::Relaxed) - start;
        assert_eq!(count, 0, "{id}, with {resets} resets");
    }
}
