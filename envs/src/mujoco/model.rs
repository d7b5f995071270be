//! Models, each compiled once per process and shared by all environments that simulate it.

use std::ffi::c_char;
use std::sync::{Arc, Once, OnceLock};

use mujoco_rs::mujoco_c::mju_user_warning;
use mujoco_rs::mujoco_version;
use mujoco_rs::wrappers::mj_model::MjModel;

/// The MuJoCo whose numbers the tests pin; contact dynamics change between its releases.
pub(super) const ENGINE: &str = "MuJoCo 3.17.0";

/// A model of Gymnasium.
pub(super) struct Model {
    xml: &'static str,
    compiled: OnceLock<Result<Arc<MjModel>, String>>,
}

impl Model {
    pub(super) const fn new(xml: &'static str) -> Self {
        Self { xml, compiled: OnceLock::new() }
    }

    /// The compiled model, or MuJoCo's message where it cannot be compiled.
    pub(super) fn get(&self) -> Result<Arc<MjModel>, String> {
        self.compiled.get_or_init(|| compile(self.xml)).clone()
    }
}

fn compile(xml: &str) -> Result<Arc<MjModel>, String> {
    let found = format!("MuJoCo {}", mujoco_version());
    if found != ENGINE {
        return Err(format!("the library is {found}, expected {ENGINE}"));
    }
    ignore_warnings();
    MjModel::from_xml_string(xml).map(Arc::new).map_err(|error| error.to_string())
}

/// Keeps MuJoCo's warnings from being printed and appended to `MUJOCO_LOG.TXT` in the working
/// directory. The one that a task can cause is of an unstable simulation, which MuJoCo answers by
/// resetting the state: the episode goes on from there, as in Gymnasium. A study that diverges
/// would write it on every step.
fn ignore_warnings() {
    unsafe extern "C" fn ignore(_: *const c_char) {}
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: MuJoCo reads the pointer when it warns, and nothing of this crate simulates
        // before its first model is compiled, which is after this. The function is `'static`.
        unsafe { mju_user_warning = Some(ignore) };
    });
}
