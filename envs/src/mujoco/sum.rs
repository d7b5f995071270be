//! NumPy's order of summation.

use std::ops::{Add, Mul};

/// The sum of squares, added in the order of `numpy.sum` over a contiguous array of up to 128
/// values: eight interleaved partial sums, those joined in pairs, then what is left over.
pub(super) fn sum_of_squares<T>(values: impl ExactSizeIterator<Item = T>) -> T
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    sum(values.map(|value| value * value))
}

/// The sum, added in the order of `numpy.sum`; see [`sum_of_squares`].
pub(super) fn sum<T>(values: impl ExactSizeIterator<Item = T>) -> T
where
    T: Copy + Default + Add<Output = T>,
{
    const LANES: usize = 8;
    let in_lanes = values.len() - values.len() % LANES;
    let mut lanes = [T::default(); LANES];
    let mut total = T::default();
    for (index, value) in values.enumerate() {
        if index >= in_lanes {
            total = total + value;
            continue;
        }
        lanes[index % LANES] = lanes[index % LANES] + value;
        if index + 1 == in_lanes {
            let [a, b, c, d, e, f, g, h] = lanes;
            total = ((a + b) + (c + d)) + ((e + f) + (g + h));
        }
    }
    total
}
