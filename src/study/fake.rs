//! A small study for the unit tests of this module.

use flags::{Field, Flags, Value, Within};

use crate::studies::{
    CohortContext, CohortOutcome, Column, Configuration, Cost, CurveView, Device, Layer, Preset,
    Problem, Study, StudyError, Table,
};
use crate::study::Run;

flags::flags! {
    /// Two shapes and two numbers.
    pub struct FakeConfig {
        /// How many samples there are.
        #[flag(group = "Size", unit = "", within = Within::at_least(1.0), source = "none", shape)]
        pub samples: u64 = 10,
        /// Into how many parts they are split.
        #[flag(group = "Size", unit = "", within = Within::at_least(1.0), source = "none", shape)]
        pub parts: u64 = 2,
        /// A number.
        #[flag(group = "Numbers", unit = "", within = Within::closed(0.0, 1.0), source = "none")]
        pub rate: f64 = 0.5,
        /// A number that can be left out.
        #[flag(group = "Numbers", unit = "", source = "none")]
        pub limit: Option<f64> = None,
        /// A text.
        #[flag(group = "Numbers", unit = "", source = "none")]
        pub label: String = "x".to_owned(),
    }
}

fn configuration(config: &FakeConfig) -> Configuration {
    let values = FakeConfig::FIELDS.iter().map(|field| config.get(field.name).unwrap());
    Configuration::new(FakeConfig::FIELDS, values.collect())
}

fn config(configuration: &Configuration) -> FakeConfig {
    let mut config = FakeConfig::default();
    for (field, value) in configuration.iter() {
        assert!(config.assign(field.name, value), "{}", field.name);
    }
    config
}

/// The study: `parts` must not exceed `samples`.
pub struct Fake;

impl Study for Fake {
    fn kind(&self) -> &'static str {
        "fake"
    }
    fn about(&self) -> &'static str {
        "Nothing."
    }
    fn numerics_version(&self) -> u32 {
        1
    }
    fn fields(&self) -> &'static [Field] {
        FakeConfig::FIELDS
    }
    fn defaults(&self) -> Configuration {
        configuration(&FakeConfig::default())
    }
    fn presets(&self) -> &'static [Preset] {
        &[
            Preset {
                name: "slow",
                about: "Slow.",
                layers: &[Layer { name: "slow", toml: "rate = 0.1\nlimit = 3\n" }],
            },
            Preset {
                name: "split",
                about: "Split.",
                layers: &[
                    Layer { name: "base", toml: "parts = 5\nrate = 0.2\n" },
                    Layer { name: "split", toml: "parts = 9\n" },
                ],
            },
            Preset {
                name: "defective",
                about: "Not valid.",
                layers: &[Layer { name: "defective", toml: "speed = 1\n" }],
            },
        ]
    }
    fn set(
        &self,
        target: &mut Configuration,
        name: &str,
        value: &Value,
    ) -> Result<(), flags::SetError> {
        let mut changed = config(target);
        changed.set(name, value)?;
        *target = configuration(&changed);
        Ok(())
    }
    fn check(&self, configuration: &Configuration) -> Vec<Problem> {
        let config = config(configuration);
        if config.parts <= config.samples {
            return Vec::new();
        }
        vec![Problem {
            fields: vec!["parts", "samples"],
            message: format!("{} samples cannot be split into {}", config.samples, config.parts),
            help: "lower `parts`".to_owned(),
        }]
    }
    fn cost(&self, configuration: &Configuration) -> Cost {
        let steps = config(configuration).samples;
        Cost { steps, weight: steps as f64 }
    }
    fn cohort_key(&self, configuration: &Configuration) -> String {
        let config = config(configuration);
        format!("{}/{}", config.samples, config.parts)
    }
    fn cohort_width(&self, _: &Device) -> usize {
        8
    }
    fn step_unit(&self) -> &'static str {
        "samples"
    }
    fn metrics(&self) -> &'static [Column] {
        &[]
    }
    fn tables(&self) -> &'static [Table] {
        &[]
    }
    fn calibration(&self, configuration: &Configuration) -> Configuration {
        configuration.clone()
    }
    fn run_cohort(&self, _: &[&Run], _: &CohortContext<'_>) -> Result<CohortOutcome, StudyError> {
        Ok(CohortOutcome { runs: Vec::new(), tables: Vec::new() })
    }
    fn views(&self) -> &'static [CurveView] {
        &[]
    }
}
