//! Standard normal draws by NumPy's ziggurat.
//!
//! Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables" (2000), with 256
//! layers, 52-bit positions and one 64-bit word for a draw that needs no rejection, as
//! `random_standard_normal` in NumPy. Two things are not NumPy's: `exp` and `log1p` come from
//! `libm` instead of the C library, so that every machine draws the same values; and the table's
//! thresholds and heights come from the published formula. Outside the tail (2.6 draws in 10 000,
//! beyond 3.65) a draw is NumPy's to the bit unless a uniform falls within about 1e-15 of a
//! threshold; inside the tail it may differ in the last bit.

use rand::Rng;

use super::generator::unit_interval;
use super::ziggurat_tables::{LAYERS, Layer, TAIL_START};

/// One draw from the normal distribution with mean 0 and variance 1.
pub fn standard_normal<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    loop {
        // From the lowest bit: 8 bits of layer, 1 of sign, 52 of position inside the layer.
        let bits = rng.next_u64();
        let index = (bits & 0xff) as usize;
        let negative = (bits >> 8) & 1 == 1;
        let position = (bits >> 9) & 0x000f_ffff_ffff_ffff;
        let Layer { threshold, width, height } = LAYERS[index];
        let magnitude = position as f64 * width;
        let value = if negative { -magnitude } else { magnitude };
        if position < threshold {
            return value;
        }
        if index == 0 {
            let magnitude = tail(rng);
            // NumPy takes the tail's sign from a bit of the position, not from the sign bit.
            return if (position >> 8) & 1 == 1 { -magnitude } else { magnitude };
        }
        let above = LAYERS[index - 1].height;
        if (above - height) * unit_interval(rng) + height < libm::exp(-0.5 * value * value) {
            return value;
        }
    }
}

/// Marsaglia's exponential rejection for the part beyond the lowest layer.
fn tail<R: Rng + ?Sized>(rng: &mut R) -> f64 {
    loop {
        // ln(1 - u), because u can be zero and cannot be one.
        let x = -(1.0 / TAIL_START) * libm::log1p(-unit_interval(rng));
        let y = -libm::log1p(-unit_interval(rng));
        if y + y > x * x {
            return TAIL_START + x;
        }
    }
}
