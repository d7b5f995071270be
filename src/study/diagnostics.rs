//! Mistakes in a study file, each with its place in the text.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

/// One mistake in a study file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// What was found.
    pub message: String,
    /// Where, in bytes of the text; `None` where the file could not be read at all.
    pub span: Option<Range<usize>>,
    /// What was expected there, as the continuation of "expected".
    pub expected: Option<String>,
    /// What to do about it, the nearest valid name included.
    pub help: Option<String>,
    /// Other places that have to do with it, each with a label.
    pub related: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// A mistake that has no place in the text.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: None,
            expected: None,
            help: None,
            related: Vec::new(),
        }
    }

    /// A mistake at a place.
    pub fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::new(message) }
    }

    /// Says what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Labels another place.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }
}

/// Every mistake in one study file, in the order of the text; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    path: PathBuf,
    text: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Gathers the mistakes of one text; spans are moved inside it and exact repetitions dropped.
    pub(crate) fn new(path: PathBuf, text: String, list: Vec<Diagnostic>) -> Self {
        let mut kept: Vec<Diagnostic> = Vec::with_capacity(list.len());
        for mut diagnostic in list {
            diagnostic.span = diagnostic.span.map(|span| within(&text, &span));
            for (span, _) in &mut diagnostic.related {
                *span = within(&text, span);
            }
            if !kept.contains(&diagnostic) {
                kept.push(diagnostic);
            }
        }
        kept.sort_by_key(|diagnostic| diagnostic.span.as_ref().map(|span| (span.start, span.end)));
        Self { path, text, list: kept }
    }

    /// The file, as it was named by the caller.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mistakes, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many mistakes there are.
    #[allow(clippy::len_without_is_empty)] // Never empty.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Line and column where a mistake starts, both counted from one, the column in characters.
    pub fn location(&self, diagnostic: &Diagnostic) -> Option<(usize, usize)> {
        let start = diagnostic.span.as_ref()?.start.min(self.text.len());
        let before = self.text.get(..start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Some((line, before[line_start..].chars().count() + 1))
    }

    /// All mistakes as text for a terminal (with colours) or a log (without).
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let path = self.path.to_string_lossy();
        let mut rendered = String::new();
        for diagnostic in &self.list {
            let title = Level::ERROR.primary_title(diagnostic.message.as_str());
            let main = match &diagnostic.span {
                None => title.element(Origin::path(path.as_ref())),
                Some(span) => {
                    // A label of the place itself stands beside the carets, not below them.
                    let own = diagnostic.related.iter().find(|(other, _)| other == span);
                    let label = match (&diagnostic.expected, own) {
                        (Some(text), _) => Some(format!("expected {text}")),
                        (None, Some((_, label))) => Some(label.clone()),
                        (None, None) => None,
                    };
                    let primary = AnnotationKind::Primary.span(self.on_one_line(span)).label(label);
                    let related = diagnostic.related.iter().filter(|(other, _)| other != span).map(
                        |(span, label)| {
                            let annotation = AnnotationKind::Context.span(self.on_one_line(span));
                            annotation.label(label.as_str())
                        },
                    );
                    title.element(
                        Snippet::source(self.text.as_str())
                            .path(path.as_ref())
                            .annotation(primary)
                            .annotations(related),
                    )
                }
            };
            let help = diagnostic
                .help
                .as_ref()
                .map(|help| Group::with_title(Level::HELP.secondary_title(help.as_str())));
            let groups: Vec<Group<'_>> = std::iter::once(main).chain(help).collect();
            rendered.push_str(&renderer.render(&groups));
            rendered.push_str("\n\n");
        }
        let count = match self.list.len() {
            1 => "one mistake".to_owned(),
            many => format!("{many} mistakes"),
        };
        rendered.push_str(&renderer.render(&[Group::with_title(
            Level::ERROR.primary_title(format!("{count} in {path}; nothing was run")),
        )]));
        rendered
    }

    /// The part of a span on its first line: a long table is pointed at, not quoted.
    fn on_one_line(&self, span: &Range<usize>) -> Range<usize> {
        let end = self.text[span.clone()].find(['\n', '\r']).map_or(span.end, |at| span.start + at);
        span.start..end
    }
}

/// Moves a span into a text, onto character boundaries, and off the blank end of a file.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let last = text.trim_end().len();
    let mut start = span.start.min(last);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
