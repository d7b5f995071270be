//! SVG files as PNG.
//!
//! Draws what [`super::paper`] writes, and the frames of [`crate::replay`]: filled and stroked paths in
//! one colour each, and text. Where a group has an opacity, it holds a single path, so that it is the
//! path's own.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use miniz_oxide::deflate::compress_to_vec_zlib;
use tiny_skia::{Color, FillRule, Paint, Pixmap, PixmapMut, Shader, Transform};
use usvg::{Group, Node, Options, Tree};

use super::ReportError;

/// Letters and signs of DejaVu Sans, so that a file does not depend on the machine's fonts.
pub(super) const FONT: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

/// Dots an inch; a CSS pixel is 1/96 inch.
const DPI: f32 = 300.0;
/// The same in dots a metre.
const DOTS_PER_METRE: u32 = 11_811;

fn failed(error: impl Display) -> ReportError {
    ReportError::Figure(error.to_string())
}

/// Draws a figure at 300 dots an inch.
pub(super) fn png(svg: &str) -> Result<Vec<u8>, ReportError> {
    encoded(&pixels(svg, DPI / 96.0)?).map_err(failed)
}

/// Draws a picture, so many dots a CSS pixel.
pub(crate) fn pixels(svg: &str, scale: f32) -> Result<Pixmap, ReportError> {
    static OPTIONS: OnceLock<Options<'static>> = OnceLock::new();
    let options = OPTIONS.get_or_init(|| {
        let mut fonts = usvg::fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family("DejaVu Sans");
        let (fontdb, font_family) = (Arc::new(fonts), "DejaVu Sans".to_owned());
        Options { fontdb, font_family, ..Options::default() }
    });
    let tree = Tree::from_str(svg, options).map_err(failed)?;
    let mut pixels = tree
        .size()
        .to_int_size()
        .scale_by(scale)
        .and_then(|size| Pixmap::new(size.width(), size.height()))
        .ok_or_else(|| failed("it is too large"))?;
    pixels.fill(Color::WHITE);
    draw(tree.root(), Transform::from_scale(scale, scale), 1.0, &mut pixels.as_mut());
    Ok(pixels)
}

fn draw(group: &Group, scale: Transform, opacity: f32, pixels: &mut PixmapMut<'_>) {
    let opacity = opacity * group.opacity().get();
    for node in group.children() {
        match node {
            Node::Group(group) => draw(group, scale, opacity, pixels),
            Node::Text(text) => draw(text.flattened(), scale, opacity, pixels),
            Node::Path(path) if path.is_visible() => {
                let place = path.abs_transform().post_concat(scale);
                if let Some(fill) = path.fill()
                    && let Some(paint) = paint(fill.paint(), opacity * fill.opacity().get())
                {
                    let rule = match fill.rule() {
                        usvg::FillRule::NonZero => FillRule::Winding,
                        usvg::FillRule::EvenOdd => FillRule::EvenOdd,
                    };
                    pixels.fill_path(path.data(), &paint, rule, place, None);
                }
                if let Some(stroke) = path.stroke()
                    && let Some(paint) = paint(stroke.paint(), opacity * stroke.opacity().get())
                {
                    pixels.stroke_path(path.data(), &paint, &stroke.to_tiny_skia(), place, None);
                }
            }
            // Figures hold no images.
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

/// Figures have plain colours only.
fn paint(paint: &usvg::Paint, opacity: f32) -> Option<Paint<'static>> {
    let usvg::Paint::Color(colour) = paint else { return None };
    let mut colour = Color::from_rgba8(colour.red, colour.green, colour.blue, 255);
    colour.set_alpha(opacity);
    Some(Paint { shader: Shader::SolidColor(colour), ..Paint::default() })
}

/// The file (W3C, Portable Network Graphics, 2nd edition): truecolour, because nothing shines through
/// a white ground.
pub(crate) fn encoded(pixels: &Pixmap) -> std::io::Result<Vec<u8>> {
    let mut rows = Vec::new();
    // A row is its width in pixels of four bytes.
    let width = pixels.width() as usize;
    for row in pixels.pixels().chunks(width) {
        // Each row minus the one above would compress no better: most of a figure is white.
        rows.push(0);
        rows.extend(row.iter().flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]));
    }
    let compressed = compress_to_vec_zlib(&rows, 9);
    let mut header = Vec::new();
    header.extend(pixels.width().to_be_bytes());
    header.extend(pixels.height().to_be_bytes());
    // Eight bits a channel, three channels, and the only methods there are, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut size = Vec::new();
    size.extend(DOTS_PER_METRE.to_be_bytes());
    size.extend(DOTS_PER_METRE.to_be_bytes());
    size.push(1);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in
        [(b"IHDR", header), (b"pHYs", size), (b"IDAT", compressed), (b"IEND", vec![])]
    {
        let length = u32::try_from(data.len()).map_err(std::io::Error::other)?;
        let mut sum = crc32fast::Hasher::new();
        sum.update(name);
        sum.update(&data);
        file.extend(length.to_be_bytes());
        file.extend(name);
        file.extend(data);
        file.extend(sum.finalize().to_be_bytes());
    }
    Ok(file)
}
