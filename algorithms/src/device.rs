//! Devices that learners run on.

#[cfg(not(feature = "cuda"))]
use burn::tensor::DeviceKind;
use burn::tensor::{Device, DeviceType};

/// Where a learner runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LearnerDevice {
    /// The processor, through burn's `flex` backend.
    Cpu,
    /// A graphics processor, through burn's `wgpu` backend (`cuda` where that feature is on).
    Gpu {
        /// Position among the discrete adapters; `None` takes the default adapter.
        index: Option<usize>,
    },
}

impl LearnerDevice {
    /// The burn device.
    pub fn burn(&self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[cfg(feature = "cuda")]
            Self::Gpu { index } => Device::cuda(index.unwrap_or(0)),
            #[cfg(all(feature = "vulkan", not(feature = "cuda")))]
            Self::Gpu { index } => Device::vulkan(adapter(*index)),
            #[cfg(not(any(feature = "cuda", feature = "vulkan")))]
            Self::Gpu { index } => Device::wgpu(adapter(*index)),
        }
    }

    /// Whether any adapter can be reached, a software renderer included.
    pub fn has_adapter() -> bool {
        !adapters().is_empty()
    }

    /// Whether a real graphics processor can be reached; software renderers do not count.
    pub fn has_gpu() -> bool {
        adapters()
            .iter()
            .any(|device| device.identity().is_some_and(|identity| identity.physical.is_some()))
    }

    /// The device's own name, and what its driver compiles for.
    pub fn describe(&self) -> (String, String) {
        let unknown = || "unknown".to_owned();
        self.burn().identity().map_or_else(
            || (unknown(), unknown()),
            |identity| (identity.name, identity.fingerprint),
        )
    }

    /// Whether tensors live in the memory of the host.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Cpu)
    }
}

fn adapters() -> Vec<Device> {
    #[cfg(feature = "cuda")]
    let kind = DeviceType::Cuda;
    #[cfg(not(feature = "cuda"))]
    let kind = DeviceType::Wgpu;
    Device::enumerate(kind).into_vec()
}

#[cfg(not(feature = "cuda"))]
fn adapter(index: Option<usize>) -> DeviceKind {
    match index {
        Some(index) => DeviceKind::DiscreteGpu(index),
        None => DeviceKind::DefaultDevice,
    }
}
