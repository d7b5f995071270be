//! Which code and which machine compute the numbers.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};

/// The program, as it was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of ceteris.
    pub ceteris_version: String,
    /// Commit of its sources, or `unknown`.
    pub commit: String,
    /// Whether the sources differed from that commit; null where it is unknown.
    pub dirty: Option<bool>,
    /// Target triple.
    pub target: String,
    /// SHA-256 of `Cargo.lock`, or `unknown`.
    pub cargo_lock_sha256: String,
    /// Versions of the dependencies that touch numbers.
    pub dependencies: BTreeMap<String, String>,
}

impl Build {
    /// This program.
    pub fn current() -> Self {
        let dependencies = env!("CETERIS_DEPENDENCIES")
            .split(';')
            .filter_map(|entry| entry.split_once('='))
            .map(|(name, versions)| (name.to_owned(), versions.replace(',', ", ")))
            .collect();
        Self {
            ceteris_version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("CETERIS_COMMIT").into(),
            dirty: env!("CETERIS_DIRTY").parse().ok(),
            target: env!("CETERIS_TARGET").into(),
            cargo_lock_sha256: env!("CETERIS_LOCK_SHA256").into(),
            dependencies,
        }
    }
}

/// The machine and the device that runs are trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnvironment {
    /// Operating system with its version.
    pub operating_system: String,
    /// The processor.
    pub cpu: Cpu,
    /// The device that computes.
    pub device: DeviceRecord,
}

/// A processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its name, or `unknown`.
    pub model: String,
    /// Instruction sets it has, of those by which the numeric libraries choose their kernels.
    pub features: Vec<String>,
}

/// A device that computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// `cpu` or `gpu`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Interface and driver with its version; null on a CPU.
    pub driver: Option<String>,
}

impl RunEnvironment {
    /// This machine, computing on its processor.
    pub fn cpu() -> Self {
        let cpu = Cpu::detect();
        let device = DeviceRecord { kind: "cpu".into(), name: cpu.model.clone(), driver: None };
        Self { operating_system: operating_system(), cpu, device }
    }

    /// This machine, computing on a GPU.
    pub fn gpu(name: &str, driver: &str) -> Self {
        let device =
            DeviceRecord { kind: "gpu".into(), name: name.into(), driver: Some(driver.into()) };
        Self { operating_system: operating_system(), cpu: Cpu::detect(), device }
    }
}

impl Cpu {
    /// The processor of this machine.
    pub fn detect() -> Self {
        let features = detected_features()
            .into_iter()
            .filter(|(_, present)| *present)
            .map(|(name, _)| name.to_owned())
            .collect();
        Self { model: cpu_model().unwrap_or_else(|| "unknown".into()), features }
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn detected_features() -> Vec<(&'static str, bool)> {
    vec![
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn detected_features() -> Vec<(&'static str, bool)> {
    vec![
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn detected_features() -> Vec<(&'static str, bool)> {
    Vec::new()
}

fn cpu_model() -> Option<String> {
    if cfg!(target_os = "macos") {
        return printed("sysctl", &["-n", "machdep.cpu.brand_string"]);
    }
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let named = text.lines().filter_map(|line| line.split_once(':')).find_map(|(key, value)| {
        matches!(key.trim(), "model name" | "Model" | "Processor" | "cpu").then(|| value.trim())
    });
    named.filter(|name| !name.is_empty()).map(str::to_owned)
}

fn operating_system() -> String {
    let family = std::env::consts::OS;
    if cfg!(target_os = "macos") {
        return printed("sw_vers", &["-productVersion"])
            .map_or_else(|| family.into(), |version| format!("macOS {version}"));
    }
    let distribution = fs::read_to_string("/etc/os-release").ok().and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_owned())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    match (distribution, kernel) {
        (Some(distribution), Some(kernel)) => {
            format!("{distribution}, {family} {}", kernel.trim())
        }
        (Some(name), None) => name,
        (None, Some(kernel)) => format!("{family} {}", kernel.trim()),
        (None, None) => family.into(),
    }
}

/// What a command prints, trimmed; `None` when it fails.
fn printed(command: &str, arguments: &[&str]) -> Option<String> {
    let output = std::process::Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// The present moment in UTC, as RFC 3339 with whole seconds.
#[allow(clippy::disallowed_methods, reason = "the manifest's timestamps, which no result holds")]
pub(super) fn now() -> String {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    timestamp(since_epoch.map_or(0, |elapsed| elapsed.as_secs()))
}

/// RFC 3339 of a number of seconds since 1970.
///
/// Days become a date by counting years from March, so that the leap day comes last (the
/// `civil_from_days` algorithm of Howard Hinnant).
fn timestamp(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    // Expected texts: `date -u -d @SECONDS +%FT%TZ` of GNU coreutils.
    #[test]
    fn timestamps_are_rfc_3339() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(timestamp(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
