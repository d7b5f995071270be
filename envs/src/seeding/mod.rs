//! NumPy's random generator, as Gymnasium seeds and uses it.
//!
//! `np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))`, with the draws that
//! environments make on reset: `random`, `uniform` and `standard_normal`. Given the same seed the
//! values have NumPy's bits (`standard_normal`: see [`ziggurat`]).

mod generator;
mod seed_sequence;
pub mod ziggurat;
mod ziggurat_tables;

pub use generator::NumpyGenerator;
pub use seed_sequence::SeedSequence;
