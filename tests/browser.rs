//! Reports in a real browser: what `tests/browser/check.mjs` checks, on pages that `ceteris report`
//! made, and on a page that breaks every rule, so that the checks are known to find something.
//!
//! Needs what `scripts/setup-browser.sh` installs; without it these tests pass unless
//! `CETERIS_REQUIRE_BROWSER` is set.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// What `check.mjs` looks for.
const CHECKS: [&str; 10] = [
    "axe",
    "console",
    "contrast",
    "downloads",
    "figures",
    "keyboard",
    "overflow",
    "requests",
    "scheme",
    "sorting",
];

/// A page with at least one mistake for each of [`CHECKS`].
const BROKEN: &str = r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Everything wrong</title>
<style>a:focus { outline: none } .faint { color: #aaa; background: #fff }</style>
</head>
<body>
<main>
<h1>Everything wrong</h1>
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">
<p class="faint">Nobody can read this.</p>
<img alt="" src="http://127.0.0.1:9/picture.png">
<div style="width: 900px">Nobody can see the end of this on a telephone.</div>
<svg viewBox="0 0 400 20" width="100"><text y="10" font-size="10" fill="#ccc">Nobody sees this either.</text></svg>
<p><a href="#nowhere">Section</a></p>
<p><a download="ragged.csv" href="data:text/csv,a,b%0A1,2,3%0A">ragged.csv</a></p>
<p><a download="empty.csv" href="data:text/csv,a,b%0A">empty.csv</a></p>
<table>
<thead><tr><th scope="col"><button type="button">n</button></th></tr></thead>
<tbody><tr><td>2</td></tr><tr><td>10</td></tr><tr><td>1</td></tr></tbody>
</table>
</main>
<script>console.error("said aloud")</script>
</body>
</html>
"##;

/// The same without a mistake.
const SOUND: &str = r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Nothing wrong</title>
<style>
:root { --page: #fff; --text: #111; --link: #0b5cad }
@media (prefers-color-scheme: dark) { :root { --page: #111; --text: #eee; --link: #74b7f2 } }
body { background: var(--page); color: var(--text) }
a { color: var(--link) }
:focus-visible { outline: 2px solid var(--link) }
</style>
</head>
<body>
<header><a href="#main">Skip to the table</a></header>
<main id="main">
<h1>Nothing wrong</h1>
<svg role="img" aria-label="A word" viewBox="0 0 100 20" width="100"><text y="12" font-size="12"
fill="currentColor">word</text></svg>
<p><a download="whole.csv" href="data:text/csv,a,b%0A1,%22one, two%22%0A">whole.csv</a></p>
<table>
<caption>Numbers</caption>
<thead><tr><th scope="col"><button type="button">n</button></th></tr></thead>
<tbody><tr><td>2</td></tr><tr><td>10</td></tr><tr><td>1</td></tr></tbody>
</table>
</main>
<script>
document.querySelector("button").addEventListener("click", (event) => {
  const head = event.target.closest("th");
  const up = head.getAttribute("aria-sort") !== "ascending";
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = document.querySelector("tbody");
  const order = (a, b) => (a.textContent - b.textContent) * (up ? 1 : -1);
  body.append(...[...body.rows].sort(order));
});
</script>
</body>
</html>
"##;

fn ready() -> bool {
    let ready = Path::new("tests/browser/node_modules/complete").exists();
    if !ready {
        let said = "scripts/setup-browser.sh has not been run";
        assert!(std::env::var_os("CETERIS_REQUIRE_BROWSER").is_none(), "{said}");
        println!("skipped: {said}");
    }
    ready
}

fn check(pages: &[PathBuf], out: &Path) -> Output {
    Command::new("node")
        .args(["tests/browser/check.mjs", "--out"])
        .arg(out)
        .args(pages)
        .output()
        .unwrap()
}

/// What was found on each page.
fn found(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let said: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    said["pages"].as_array().unwrap().clone()
}

/// The checks that found a problem, each once.
fn failed(page: &Value) -> Vec<&str> {
    let problems = page["problems"].as_array().unwrap();
    let mut checks: Vec<&str> = problems.iter().map(|p| p["check"].as_str().unwrap()).collect();
    checks.sort_unstable();
    checks.dedup();
    checks
}

fn messages(page: &Value, check: &str) -> String {
    let problems = page["problems"].as_array().unwrap().iter();
    let messages = problems.filter(|p| p["check"] == check).map(|p| p["message"].as_str().unwrap());
    messages.collect::<Vec<_>>().join("\n")
}

fn report(results: &str, page: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_ceteris"))
        .args(["report", results, "--out"])
        .arg(page)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn reports_pass_in_a_browser() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut reports = vec![("results/quickstart", "quickstart.html")];
    if cfg!(feature = "mujoco") {
        reports.push(("results/implementation-matters/tables-2-3", "tables-2-3.html"));
    }
    let pages: Vec<PathBuf> = reports
        .iter()
        .map(|(results, name)| {
            let page = folder.path().join(name);
            report(results, &page);
            page
        })
        .collect();
    let output = check(&pages, folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = found(&output);
    assert_eq!(found.len(), pages.len());
    for page in &found {
        assert_eq!(page["problems"].as_array().unwrap().len(), 0);
        // None of the checks had nothing to check.
        assert!(page["rules"].as_u64().unwrap() > 20, "{page}");
        assert!(page["stops"].as_u64().unwrap() > 10, "{page}");
        assert!(page["sorted"].as_u64().unwrap() > 5, "{page}");
        assert!(page["downloads"].as_array().unwrap().len() > 1, "{page}");
        // Two widths in two colour schemes, and print.
        let pictures = page["screenshots"].as_array().unwrap();
        assert!(pictures.len() >= 5, "{page}");
        for picture in pictures {
            let bytes = std::fs::read(picture.as_str().unwrap()).unwrap();
            assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 20_000);
        }
    }
}

#[test]
fn every_check_finds_its_mistake() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = [("broken.html", BROKEN), ("sound.html", SOUND)].map(|(name, text)| {
        let page = folder.path().join(name);
        std::fs::write(&page, text).unwrap();
        page
    });
    let output = check(&pages, folder.path());
    assert_eq!(output.status.code(), Some(1));
    let found = found(&output);
    assert_eq!(failed(&found[1]), Vec::<&str>::new(), "{}", found[1]);
    let broken = &found[0];
    assert_eq!(failed(broken), CHECKS);
    for (check, said) in [
        ("axe", "image-alt"),
        ("axe", "color-contrast"),
        ("console", "said aloud"),
        ("contrast", "1 texts are too faint, the faintest 1.61: Nobody sees"),
        ("downloads", "line 2 has 3 columns, the first has 2"),
        ("downloads", "has 1 lines, so no data"),
        ("figures", "2 drawings have no name"),
        ("figures", "1 texts are too small, the smallest 2.5 px"),
        ("keyboard", "no skip link"),
        ("keyboard", "focus is not visible"),
        ("keyboard", "links lead nowhere: #nowhere"),
        ("overflow", "in 360: <div style=\"width: 900px\">"),
        ("requests", "http://127.0.0.1:9/picture.png"),
        ("scheme", "the background is"),
        ("sorting", "10 stands before 1"),
        ("sorting", "says aria-sort"),
    ] {
        assert!(messages(broken, check).contains(said), "{check}: {said}\n{broken}");
    }
}

#[test]
fn a_page_that_cannot_be_opened_is_no_success() {
    if !ready() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = check(&[folder.path().join("missing.html")], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.html"));
}
