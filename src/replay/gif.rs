//! A film as an animated GIF.

use std::collections::BTreeMap;

use gif::{DisposalMethod, Encoder, Frame, Repeat};
use tiny_skia::Pixmap;

use super::ReplayError;
use super::film::{Film, REST};
use crate::report::ReportError;

type Rgb = [u8; 3];

/// Number of the palette's last colour, which stands for "as before".
const SAME: u8 = 255;
/// From so many frames the palette is chosen.
const SAMPLED: usize = 32;

/// One palette for the whole film.
struct Palette {
    colors: Vec<Rgb>,
    /// Numbers of colours that were looked up.
    known: BTreeMap<Rgb, u8>,
}

fn rgb(pixels: &Pixmap) -> impl Iterator<Item = Rgb> {
    pixels.pixels().iter().map(|pixel| [pixel.red(), pixel.green(), pixel.blue()])
}

impl Palette {
    /// The most frequent colours of some pictures; of equally frequent ones, the darker.
    fn of(
        pictures: impl Iterator<Item = Result<Pixmap, ReportError>>,
    ) -> Result<Self, ReportError> {
        let mut counts: BTreeMap<Rgb, u64> = BTreeMap::new();
        for picture in pictures {
            for row in rgb(&picture?).collect::<Vec<_>>().chunk_by(PartialEq::eq) {
                *counts.entry(row[0]).or_default() += row.len() as u64;
            }
        }
        let mut colors: Vec<(Rgb, u64)> = counts.into_iter().collect();
        colors.sort_by_key(|(color, count)| (std::cmp::Reverse(*count), *color));
        let colors = colors.into_iter().map(|(color, _)| color).take(usize::from(SAME)).collect();
        Ok(Self { colors, known: BTreeMap::new() })
    }

    /// The number of the nearest colour, the first of equally near ones.
    fn number(&mut self, color: Rgb) -> u8 {
        let colors = &self.colors;
        *self.known.entry(color).or_insert_with(|| {
            let distance = |other: &Rgb| -> i32 {
                let channels = color.iter().zip(other);
                channels.map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2)).sum()
            };
            (0..SAME)
                .zip(colors)
                .min_by_key(|(_, other)| distance(other))
                .map_or(0, |(number, _)| number)
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.colors.concat();
        bytes.resize(3 * (usize::from(SAME) + 1), 0);
        bytes
    }
}

/// The smallest rectangle around all pixels that differ: left, top, width and height.
fn changed(before: &[u8], after: &[u8], width: usize) -> Option<[usize; 4]> {
    let differs = |(a, b): (&u8, &u8)| a != b;
    let rows: Vec<(usize, usize, usize)> = before
        .chunks(width)
        .zip(after.chunks(width))
        .enumerate()
        .filter_map(|(row, (a, b))| {
            let first = a.iter().zip(b).position(differs)?;
            let last = a.iter().zip(b).rposition(differs)?;
            Some((row, first, last))
        })
        .collect();
    let (top, bottom) = (rows.first()?.0, rows.last()?.0);
    let left = rows.iter().map(|row| row.1).min()?;
    let right = rows.iter().map(|row| row.2).max()?;
    Some([left, top, right + 1 - left, bottom + 1 - top])
}

/// A side of a picture is far shorter than 2^16 pixels.
fn side(pixels: usize) -> u16 {
    u16::try_from(pixels).unwrap_or(u16::MAX)
}

impl Film {
    /// The film as a GIF file: it repeats for ever, after a rest on its last frame.
    ///
    /// # Errors
    /// When a frame cannot be drawn or encoded.
    pub fn gif(&self) -> Result<Vec<u8>, ReplayError> {
        let layout = self.layout();
        let count = self.frames.len();
        let picture = |index| self.pixels(&layout, index, 1.0);
        let step = count.div_ceil(SAMPLED).max(1);
        let mut palette = Palette::of((0..count).step_by(step).map(picture))?;
        let first = picture(0)?;
        let (width, height) = (first.width() as usize, first.height() as usize);

        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, side(width), side(height), &palette.bytes())?;
        encoder.set_repeat(Repeat::Infinite)?;
        let mut shown: Vec<u8> = Vec::new();
        for index in 0..count {
            let numbers: Vec<u8> =
                rgb(&picture(index)?).map(|color| palette.number(color)).collect();
            // Where nothing moves, one pixel says so for the time of a frame.
            let [left, top, wide, high] = if shown.is_empty() {
                [0, 0, width, height]
            } else {
                changed(&shown, &numbers, width).unwrap_or([0, 0, 1, 1])
            };
            let mut buffer = Vec::with_capacity(wide * high);
            for row in top..top + high {
                let start = row * width + left;
                let before = shown.get(start..start + wide).unwrap_or_default();
                for (place, number) in numbers[start..start + wide].iter().enumerate() {
                    let same = before.get(place) == Some(number);
                    buffer.push(if same { SAME } else { *number });
                }
            }
            encoder.write_frame(&Frame {
                delay: self.delay(index),
                dispose: DisposalMethod::Keep,
                transparent: Some(SAME),
                left: side(left),
                top: side(top),
                width: side(wide),
                height: side(high),
                buffer: buffer.into(),
                ..Frame::default()
            })?;
            shown = numbers;
        }
        drop(encoder);
        Ok(file)
    }

    /// How long a frame is shown, in hundredths of a second, so that all together keep time.
    fn delay(&self, index: usize) -> u16 {
        // Frames are few, and a film lasts minutes.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let at = |frame: usize| (100.0 * self.frame_seconds * frame as f64).round() as u64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rest = if index + 1 == self.frames.len() { (100.0 * REST) as u64 } else { 0 };
        u16::try_from(at(index + 1) - at(index) + rest).unwrap_or(u16::MAX)
    }
}
