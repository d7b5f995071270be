//! A film as one SVG file that moves by itself (SMIL).
//!
//! What is drawn at one position from back to front is one path for the whole film, whose attributes
//! are lists over the frames where they change. The line below the scene is a strip of all captions
//! that is moved up behind an opening.

use std::fmt::Write as _;

use super::film::{BASE, FOOT, Film, Paint, REST, WIDTH, number};

impl Film {
    /// The film as an SVG file: it repeats for ever, after a rest on its last frame.
    pub fn svg(&self) -> String {
        let layout = self.layout();
        let frames: Vec<Vec<Paint>> =
            self.frames.iter().map(|frame| self.paints(&layout, frame)).collect();
        // A second or so.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rest = (REST / self.frame_seconds).round() as usize;
        // Frames of a film are few.
        #[allow(clippy::cast_precision_loss)]
        let seconds = self.frame_seconds * (frames.len() + rest) as f64;
        let timing =
            format!("dur=\"{seconds:.3}s\" calcMode=\"discrete\" repeatCount=\"indefinite\"");
        // The last value again while the film rests.
        let list = |values: &mut dyn Iterator<Item = String>| {
            let mut values: Vec<String> = values.collect();
            if let Some(last) = values.last().cloned() {
                values.extend(std::iter::repeat_n(last, rest));
            }
            values.join(";")
        };

        let mut text = self.open(&layout);
        let depth = frames.iter().map(Vec::len).max().unwrap_or(0);
        let nothing = Paint::nothing();
        for position in 0..depth {
            let paints: Vec<&Paint> =
                frames.iter().map(|frame| frame.get(position).unwrap_or(&nothing)).collect();
            text.push_str("<path");
            let mut moving = String::new();
            for (attribute, name) in Paint::NAMES.iter().enumerate() {
                let first = &paints[0].0[attribute];
                let _ = write!(text, " {name}=\"{first}\"");
                if paints.iter().any(|paint| paint.0[attribute] != *first) {
                    let values = list(&mut paints.iter().map(|paint| paint.0[attribute].clone()));
                    let _ = write!(
                        moving,
                        "<animate attributeName=\"{name}\" {timing} values=\"{values}\"/>"
                    );
                }
            }
            if moving.is_empty() {
                text.push_str("/>\n");
            } else {
                let _ = writeln!(text, ">{moving}</path>");
            }
        }
        text.push_str(&self.titles(&layout));

        let shifts = list(&mut (0..frames.len()).map(|index| {
            #[allow(clippy::cast_precision_loss)]
            let shift = -FOOT * index as f64;
            format!("0 {}", number(shift))
        }));
        let foot = number(layout.foot());
        let _ = writeln!(
            text,
            "<clipPath id=\"opening\"><path d=\"M0 {foot}h{WIDTH}v{FOOT}H0z\"/></clipPath>\n\
             <g clip-path=\"url(#opening)\"><g {}><animateTransform attributeName=\"transform\" \
             type=\"translate\" {timing} values=\"{shifts}\"/>",
            Self::caption_style(),
        );
        for (index, frame) in self.frames.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            let y = layout.foot() + FOOT * index as f64 + BASE;
            let _ = writeln!(text, "{}", self.caption_at(frame, y));
        }
        text.push_str("</g></g>\n</svg>\n");
        text
    }
}
