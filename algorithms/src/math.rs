//! Element functions that are fast and give the same bits at any vector width.
//!
//! They use no fused multiply-add and no table, so the compiler may vectorise them as wide as the
//! processor allows without changing a bit of the result. The functions over slices are compiled for
//! several widths and choose at run time.

use multiversion::multiversion;

/// Adding this to a small number rounds it to an integer, which then stands in the low bits.
const ROUNDING: f32 = 12_582_912.0; // 1.5 * 2^23

/// e^x for x in [-87, 88]; relative error below 2e-7.
#[inline(always)]
fn exp_in_range(x: f32) -> f32 {
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 is split so that n * HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let rounded = x * std::f32::consts::LOG2_E + ROUNDING;
    let n = rounded - ROUNDING;
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    // Minimax polynomial of e^r on that interval (Cephes, expf).
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e = (p * r) * r + r + 1.0;
    // The low bits of `rounded` are n; shifted into the exponent they are 2^n.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    e * power
}

/// Hyperbolic tangent; at most 2 units in the last place off, NaN for NaN.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // tanh is 1 to the last bit beyond this.
    const SATURATION: f32 = 9.02;
    let magnitude = x.abs();
    let bounded = if magnitude < SATURATION { magnitude } else { SATURATION };
    let large = (1.0 - 2.0 / (exp_in_range(2.0 * bounded) + 1.0)).copysign(x);
    // Odd minimax polynomial near zero (Cephes, tanhf), where 1 - 2/(e+1) would cancel.
    let s = x * x;
    let mut p = -5.704_988_7e-3;
    p = p * s + 2.063_908_8e-2;
    p = p * s - 5.373_971_5e-2;
    p = p * s + 1.333_144_2e-1;
    p = p * s - 3.333_328e-1;
    let small = p * s * x + x;
    // NaN compares false and so takes the polynomial, which keeps it.
    if magnitude >= 0.625 { large } else { small }
}

/// tanh of every element.
#[multiversion(targets("x86_64+avx2"))]
pub fn tanh_all(x: &[f32]) -> Vec<f32> {
    // A loop, since what `collect` calls is not compiled for the wider vectors.
    let mut result = x.to_vec();
    for x in &mut result {
        *x = tanh(*x);
    }
    result
}

/// The derivative of tanh where its value is `y`, for every element: 1 - y².
#[multiversion(targets("x86_64+avx2"))]
pub fn tanh_derivative_all(y: &[f32]) -> Vec<f32> {
    let mut result = y.to_vec();
    for y in &mut result {
        *y = 1.0 - *y * *y;
    }
    result
}

/// output += input · weights with weights `[inputs, outputs]`, accumulated input by input.
#[multiversion(targets("x86_64+avx2"))]
pub fn accumulate_product(input: &[f32], weights: &[f32], output: &mut [f32]) {
    for (x, row) in input.iter().zip(weights.chunks_exact(output.len())) {
        for (sum, weight) in output.iter_mut().zip(row) {
            *sum += x * weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tanh;

    #[test]
    fn tanh_is_within_two_units_in_the_last_place() {
        let mut worst = 0;
        // Every 97th float from 1e-30 to 20, both signs.
        let (low, high) = (1e-30_f32.to_bits(), 20.0_f32.to_bits());
        for bits in (low..high).step_by(97) {
            let x = f32::from_bits(bits);
            #[allow(clippy::cast_possible_truncation)]
            let exact = f64::from(x).tanh() as f32;
            let error = tanh(x).to_bits().abs_diff(exact.to_bits());
            worst = worst.max(error);
            assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits());
        }
        assert!(worst <= 2, "{worst} units in the last place");
        println!("largest error of tanh: {worst} units in the last place");
    }

    #[test]
    fn tanh_keeps_special_values() {
        assert_eq!(tanh(0.0).to_bits(), 0.0_f32.to_bits());
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
        assert!(tanh(f32::NAN).is_nan());
    }
}
