//! Servers that speak OpenAI's protocol: a real one, in a process of its own on the loopback, which
//! answers by what it is asked and fails as it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ceteris::store::DirectoryJournal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn hash(text: &str) -> u64 {
    Sha256::digest(text).iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

/// What the server of this process is to do.
#[derive(Clone)]
struct Behaviour {
    /// Of 100 first attempts at a request so many fail; further attempts fail half as often.
    faults: u64,
    /// Milliseconds that an answer takes.
    delay: u64,
    log: PathBuf,
}

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

fn log(behaviour: &Behaviour, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(&behaviour.log).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         {headers}\r\n{body}"
    );
    let _ = stream.write_all(text.as_bytes());
}

/// The answer to a body: what it says depends on the prompt and the seed alone.
fn answer(path: &str, body: &Value) -> Value {
    let prompt = body["prompt"].as_str().or(body["messages"][0]["content"].as_str()).unwrap();
    let usage = json!({"prompt_tokens": prompt.split_whitespace().count(), "completion_tokens": 4});
    if body["echo"] == true {
        // Every word is a token with the spaces before it.
        let (mut offsets, mut values, mut at) = (Vec::new(), Vec::new(), 0);
        for word in prompt.split_inclusive(' ') {
            offsets.push(at);
            at += word.chars().count();
            let value = -((hash(word) % 1000) as f64) / 100.0;
            values.push(if offsets.len() == 1 { Value::Null } else { json!(value) });
        }
        offsets.push(at);
        values.push(json!(-99.0));
        let logprobs = json!({"token_logprobs": values, "text_offset": offsets});
        return json!({"choices": [{"text": prompt, "logprobs": logprobs}], "usage": usage});
    }
    let text = |number: u64| {
        format!("I think #### {}", hash(&format!("{prompt}{}{number}", body["seed"])) % 30)
    };
    let choices: Vec<Value> = (0..body["n"].as_u64().unwrap())
        .map(|number| {
            if path.ends_with("/chat/completions") {
                json!({"message": {"role": "assistant", "content": text(number)}, "finish_reason": "stop"})
            } else {
                json!({"text": text(number), "finish_reason": "length"})
            }
        })
        .collect();
    json!({"choices": choices, "usage": usage})
}

fn serve(mut stream: TcpStream, behaviour: &Behaviour, attempts: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let (mut length, mut key) = (0, String::new());
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let lower = line.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if lower.starts_with("authorization:") {
                key = line["authorization:".len()..].trim().to_owned();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let path = first.split(' ').nth(1).unwrap().to_owned();
        let id = hash(&body);
        if key != "Bearer open-sesame" {
            log(behaviour, &format!("refused {id:016x}"));
            let message = json!({"error": {"message": "Incorrect API key provided"}});
            respond(&mut stream, "401 Unauthorized", "", &message.to_string());
            continue;
        }
        let together = UNDER_WAY.fetch_add(1, Ordering::SeqCst) + 1;
        // Which fault it is depends on how often anything was asked, so that attempts differ.
        let attempt = attempts.fetch_add(1, Ordering::SeqCst) as u64;
        let draw = hash(&format!("{id} {attempt}"));
        let fault = (draw % 100 < behaviour.faults).then_some(draw / 100 % 8);
        std::thread::sleep(Duration::from_millis(behaviour.delay));
        if let Some(fault) = fault {
            log(behaviour, &format!("fault-{fault} {id:016x}"));
            let error = json!({"error": {"message": "try later"}}).to_string();
            match fault {
                0 => respond(&mut stream, "429 Too Many Requests", "Retry-After: 0.05\r\n", &error),
                1 => respond(&mut stream, "429 Too Many Requests", "", &error),
                2 => respond(&mut stream, "500 Internal Server Error", "", "<html>oops</html>"),
                3 => respond(&mut stream, "503 Service Unavailable", "retry-after-ms: 20\r\n", ""),
                // Longer than the client waits.
                4 => std::thread::sleep(Duration::from_millis(700)),
                5 => respond(&mut stream, "200 OK", "", "{\"choices\": [{\"mess"),
                // Half of an answer, then nothing.
                6 => {
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"choices\": [",
                    );
                }
                _ => {}
            }
            UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
            if matches!(fault, 4 | 6 | 7) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            continue;
        }
        let value = answer(&path, &serde_json::from_str(&body).unwrap());
        log(behaviour, &format!("served {id:016x} {together}"));
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
        respond(&mut stream, "200 OK", "", &value.to_string());
    }
}

/// The server; a process of this test program runs it.
#[test]
fn server() {
    let Some(log) = env::var_os("CETERIS_TEST_SERVER_LOG") else { return };
    let number = |name: &str| env::var(name).unwrap().parse().unwrap();
    let behaviour = Behaviour {
        faults: number("CETERIS_TEST_SERVER_FAULTS"),
        delay: number("CETERIS_TEST_SERVER_DELAY"),
        log: log.into(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fs::write(behaviour.log.with_extension("port.tmp"), port.to_string()).unwrap();
    fs::rename(behaviour.log.with_extension("port.tmp"), behaviour.log.with_extension("port"))
        .unwrap();
    let attempts: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    for stream in listener.incoming() {
        let behaviour = behaviour.clone();
        std::thread::spawn(move || serve(stream.unwrap(), &behaviour, attempts));
    }
}

struct Server {
    process: Child,
    url: String,
    log: PathBuf,
}

impl Server {
    fn start(folder: &Path, faults: u64, delay: u64) -> Self {
        let log = folder.join(format!("server-{faults}-{delay}.log"));
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "server", "--nocapture", "--test-threads=1"])
            .env("CETERIS_TEST_SERVER_LOG", &log)
            .env("CETERIS_TEST_SERVER_FAULTS", faults.to_string())
            .env("CETERIS_TEST_SERVER_DELAY", delay.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let port = log.with_extension("port");
        let begun = Instant::now();
        while !port.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let url = format!("http://127.0.0.1:{}/v1", fs::read_to_string(port).unwrap());
        Self { process, url, log }
    }

    /// The lines of its log, as (what, which).
    fn log(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let words = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        // The last line may be under way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(words).collect()
    }

    /// How often each request was answered.
    fn served(&self) -> BTreeMap<String, usize> {
        let mut served = BTreeMap::new();
        for (_, id) in self.log().into_iter().filter(|(what, _)| what == "served") {
            *served.entry(id).or_insert(0) += 1;
        }
        served
    }

    fn served_in_all(&self) -> usize {
        self.served().values().sum()
    }

    fn most_together(&self) -> usize {
        let text = fs::read_to_string(&self.log).unwrap();
        text.lines().filter_map(|line| line.split(' ').nth(2)?.parse().ok()).max().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Questions of our own, so that nothing has to be downloaded; returns their file's hash.
fn questions(folder: &Path, count: usize) -> String {
    let lines: String = (0..count)
        .map(|n| {
            format!("{{\"input\": \"What is {n} and 1?\", \"references\": [\"{}\"]}}\n", n + 1)
        })
        .collect();
    fs::write(folder.join("questions.jsonl"), &lines).unwrap();
    Sha256::digest(&lines).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn study(folder: &Path, url: &str, count: usize, rest: &str) -> PathBuf {
    let sum = questions(folder, count);
    let path = folder.join("study.toml");
    let text = format!(
        "[study]\nkind = \"lm-evaluation\"\nname = \"t\"\nseed = 3\nreplicates = 2\n[base]\n\
         evaluation_task = \"questions\"\nquestions_file = \"questions.jsonl\"\n\
         questions_sha256 = \"{sum}\"\nlanguage_model = \"endpoint\"\nendpoint_url = \"{url}\"\n\
         endpoint_model = \"tiny\"\nanswer_extraction = \"marker\"\n\
         answer_normalization = \"number\"\nevaluation_parts = 2\n{rest}"
    );
    fs::write(&path, text).unwrap();
    path
}

fn ceteris(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ceteris"));
    command
        .current_dir(folder)
        .env("CETERIS_ENDPOINT_KEY", "open-sesame")
        .env("CETERIS_ENDPOINT_TIMEOUT", "0.5")
        .env("CETERIS_ENDPOINT_ATTEMPTS", "40")
        .env("CETERIS_ENDPOINT_LONGEST_PAUSE", "0.1")
        .env("NO_PROXY", "127.0.0.1");
    command
}

fn run(folder: &Path, out: &str) -> Output {
    let arguments = ["run", "study.toml", "--no-report", "--workers", "2", "--out", out];
    ceteris(folder).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

/// The rows of a table of results, without the time that requests took.
fn rows(folder: &Path, out: &str, table: &str) -> Vec<Value> {
    use polars::prelude::*;
    let mut frames = Vec::new();
    // A table without rows has no folder.
    for entry in fs::read_dir(folder.join(out).join(table)).into_iter().flatten() {
        let file = fs::File::open(entry.unwrap().path()).unwrap();
        frames.push(ParquetReader::new(file).finish().unwrap());
    }
    let mut rows = Vec::new();
    for frame in frames {
        for row in 0..frame.height() {
            let cell = |column: &Column| {
                (column.name().to_string(), json!(column.get(row).unwrap().to_string()))
            };
            let cells = frame
                .columns()
                .iter()
                .filter(|column| !matches!(column.name().as_str(), "seconds" | "request_seconds"));
            rows.push(Value::Object(cells.map(cell).collect()));
        }
    }
    rows.sort_by_key(Value::to_string);
    rows
}

/// A row as text, without one of its cells.
fn without(mut row: Value, column: &str) -> String {
    row.as_object_mut().unwrap().remove(column);
    row.to_string()
}

#[test]
fn under_every_fault_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let calm = Server::start(folder, 0, 0);
    // Two arms that ask the same, and one that asks for other completions.
    let rest = "[factors]\nanswer_normalization = [\"number\", \"strip\"]\n[[arms]]\n\
                name = \"drawn\"\ntemperature = 1.0\ncompletions = 3\n\
                completion_choice = \"majority\"\n";
    study(folder, &calm.url, 60, rest);
    let output = run(folder, "calm");
    assert!(output.status.success(), "{}", text(&output));
    // 60 questions in two parts, once at temperature 0 and once above.
    assert_eq!(calm.served().len(), 120);
    assert!(calm.served().values().all(|times| *times == 1));
    assert!(calm.most_together() <= 2 * 8);
    assert_eq!(rows(folder, "calm", "requests").len(), 60 + 60 + 3 * 60);
    drop(calm);

    let rough = Server::start(folder, 40, 0);
    study(folder, &rough.url, 60, rest);
    let output = run(folder, "rough");
    assert!(output.status.success(), "{}", text(&output));
    let kinds: BTreeSet<String> = rough.log().into_iter().map(|(what, _)| what).collect();
    // Every kind of fault occurred.
    assert_eq!(kinds.len(), 9, "{kinds:?}");
    assert_eq!(rough.served().len(), 120);
    assert!(rough.served().values().all(|times| *times == 1));
    // The address is part of what identifies a run.
    let contents = |out: &str, table: &str| {
        let rows = rows(folder, out, table).into_iter().map(|row| without(row, "run_id"));
        rows.collect::<BTreeSet<String>>()
    };
    for table in ["instances", "requests"] {
        assert_eq!(contents("calm", table), contents("rough", table), "{table}");
    }
}

#[test]
fn killed_again_and_again_it_asks_for_what_is_missing_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 10, 4);
    study(folder, &server.url, 200, "max_tokens = 20\n");
    let output = run(folder, "whole");
    assert!(output.status.success(), "{}", text(&output));
    let before = server.log().len();
    let mut kills = 0;
    // So many answers are under way at a time: two cohorts of eight.
    let most_lost = 16;
    let mut kept = 0;
    for attempt in 0_u64.. {
        let arguments = ["run", "study.toml", "--no-report", "--workers", "2", "--out", "killed"];
        let mut process = ceteris(folder).args(arguments).stderr(Stdio::null()).spawn().unwrap();
        // Killed once the server has answered some more, whatever the machine's pace.
        let end = server.served_in_all() + 20 + 7 * attempt as usize % 25;
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break Some(status);
            }
            if server.served_in_all() >= end {
                process.kill().unwrap();
                process.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        match status {
            Some(status) => {
                assert!(status.success());
                break;
            }
            None => kills += 1,
        }
        // What was kept stays kept.
        let journal = DirectoryJournal::record_of(&folder.join("killed")).unwrap();
        assert!(journal.len() >= kept && journal.damaged().is_empty());
        kept = journal.len();
        assert!(attempt < 500, "it does not come to an end");
    }
    assert!(kills >= 3, "{kills}");
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for (_, id) in server.log().into_iter().skip(before).filter(|(what, _)| what == "served") {
        *served.entry(id).or_insert(0) += 1;
    }
    assert_eq!(served.len(), 200);
    let twice: usize = served.values().map(|times| times - 1).sum();
    assert!(twice <= kills * most_lost, "{twice} answers were asked for again in {kills} kills");
    println!("{kills} kills, {twice} of 200 answers that were under way asked for again");
    for table in ["runs", "instances", "requests"] {
        let contents = |out| {
            let rows = rows(folder, out, table).into_iter();
            rows.map(|row| without(row, "finished_at")).collect::<Vec<String>>()
        };
        assert_eq!(contents("whole"), contents("killed"), "{table}");
    }
    assert_eq!(DirectoryJournal::record_of(&folder.join("killed")).unwrap().len(), 200);

    // A reviewer without the server scores the recorded answers again, wherever they were sent.
    drop(server);
    let output = ceteris(folder).args(["export", "killed", "--to", "sent"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(folder.join("sent/journal/00001.journal").is_file());
    let arguments = ["verify", "sent", "--all"];
    let output = ceteris(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("every value has the same bits"), "{}", text(&output));
}

#[test]
fn what_cannot_succeed_is_not_tried_twice_and_the_key_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 0, 0);
    study(folder, &server.url, 4, "");
    let mut command = ceteris(folder);
    command.env("CETERIS_ENDPOINT_KEY", "sk-wrong").env("CETERIS_ENDPOINT_CONCURRENCY", "1");
    let output =
        command.args(["run", "study.toml", "--no-report", "--workers", "1"]).output().unwrap();
    let said = text(&output);
    assert!(!output.status.success());
    assert!(said.contains("401") && said.contains("Incorrect API key provided"), "{said}");
    assert!(said.contains("set the key in CETERIS_ENDPOINT_KEY"), "{said}");
    assert!(!said.contains("sk-wrong"), "{said}");
    assert_eq!(server.log().len(), 1);
    // Nor is it in any file.
    for entry in fs::read_dir(folder.join("out/t")).unwrap() {
        let path = entry.unwrap().path();
        let holds =
            |path: &Path| fs::read(path).unwrap().windows(8).any(|part| part == b"sk-wrong");
        assert!(!path.is_file() || !holds(&path), "{}", path.display());
    }
    drop(server);
    // Nobody is there any more.
    let mut command = ceteris(folder);
    command.env("CETERIS_ENDPOINT_ATTEMPTS", "2");
    let output = command.args(["run", "study.toml", "--no-report"]).output().unwrap();
    let said = text(&output);
    assert!(said.contains("gave no answer in 2 attempts"), "{said}");
    assert!(said.contains("run again, which asks only for what is missing"), "{said}");
    let mut command = ceteris(folder);
    command.env("CETERIS_ENDPOINT_CONCURRENCY", "many");
    let said = text(&command.args(["run", "study.toml", "--no-report"]).output().unwrap());
    assert!(said.contains("CETERIS_ENDPOINT_CONCURRENCY is \"many\"; expected a whole"), "{said}");
}

#[test]
fn options_are_scored_where_prompts_are_echoed_and_rates_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 0, 0);
    study(folder, &server.url, 1, "");
    let lines = "{\"input\": \"The sky is\", \"options\": [\"very green\", \"blue\"], \"correct\": 1}\n\
                 {\"input\": \"Two and two make\", \"options\": [\"four\", \"five\"], \"correct\": 0}\n";
    fs::write(folder.join("questions.jsonl"), lines).unwrap();
    let sum: String = Sha256::digest(lines).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join("study.toml");
    let text_of = fs::read_to_string(&path).unwrap();
    let kept = text_of.lines().filter(|line| {
        !line.starts_with("questions_sha256") && !line.starts_with("evaluation_parts")
    });
    let kept: Vec<&str> = kept.collect();
    let rest = format!(
        "questions_sha256 = \"{sum}\"\nendpoint_api = \"completions\"\nadapter = \"separate\"\n\
         prompt_input_prefix = \"\"\nprompt_output_prefix = \"\"\n"
    );
    fs::write(&path, format!("{}\n{rest}", kept.join("\n"))).unwrap();
    let mut command = ceteris(folder);
    command.env("CETERIS_ENDPOINT_REQUESTS_PER_MINUTE", "600");
    let begun = Instant::now();
    let arguments = ["run", "study.toml", "--no-report", "--workers", "1", "--out", "scored"];
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    // Four requests, one each tenth of a second; two replicates ask the same.
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.served().len(), 4);
    let value = |word: &str| -((hash(word) % 1000) as f64) / 100.0;
    let sums = [value("very ") + value("green"), value("blue"), value("four"), value("five")];
    let rows = rows(folder, "scored", "requests");
    for (completion, sum) in [" very green", " blue", " four", " five"].iter().zip(sums) {
        let found: Vec<&Value> = rows
            .iter()
            .filter(|row| row["completion"].as_str().unwrap().trim_matches('"') == *completion)
            .collect();
        assert_eq!(found.len(), 2, "{completion}");
        let stored: f64 = found[0]["log_probability"].as_str().unwrap().parse().unwrap();
        assert!((stored - sum).abs() < 1e-9, "{completion}: {stored}, {sum}");
    }
}
