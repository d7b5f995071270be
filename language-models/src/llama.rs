//! Networks of the Llama family, from GGUF files, on the processor through burn's `flex` backend.
//!
//! The tokens of several texts are the rows of one matrix, with no padding between them; attention
//! alone looks at each text for itself. A row of a product comes out in the same bits whatever rows
//! are beside it, as long as there are two (one row takes another path through the kernels, so it is
//! doubled): an answer depends on its request alone, not on the requests that came with it, nor on
//! threads. Tests hold that.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use burn::tensor::activation::silu;
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, s};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

use crate::bpe::{Bpe, BpeError, Token};
use crate::gguf::{Gguf, GgufError, Value};
use crate::{Answer, Completion, LanguageModel, ModelError, Request, Sampling, Take};

/// Raised when the same request may get another answer from the same file.
const NUMERICS: u32 = 1;
/// Tokens that go through the layers together when texts are scored.
const SCORED_ROWS: usize = 256;
/// Tokens from which on a prompt is seen by itself, once for all texts that continue it.
const SHARED_PROMPT: usize = 32;
/// Rows of logits held at a time.
const LOGIT_ROWS: usize = 64;
/// Texts that are continued together.
const CONTINUED: usize = 16;

/// Why a file is no model that can be run.
#[derive(Debug, thiserror::Error)]
pub enum LlamaError {
    /// The file cannot be read.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// Its tokeniser cannot be had.
    #[error(transparent)]
    Bpe(#[from] BpeError),
    /// Another network, or one with something that is not built here.
    #[error("{path} cannot be run: {what}")]
    Unsupported {
        /// The file.
        path: String,
        /// What stands against it.
        what: String,
    },
}

/// How a model is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlamaOptions {
    /// Whether prompts are put to the model as a user's message in the file's ChatML template.
    pub chat: bool,
    /// Most tokens that the network sees at once, where that is to be fewer than the file says.
    pub context: Option<usize>,
}

/// A network with its tokeniser. Clones share its weights.
///
/// A text that nothing precedes follows `<|endoftext|>` where the vocabulary has it, since that is
/// what stood between documents in training; lm-evaluation-harness takes the file's token for
/// beginnings, which in files of chat models begins a turn. Ends of scored texts do not count: to
/// such a network an end is that of a document. Drawn texts and greedy ones end at the tokens that
/// end documents and turns, which are not among their tokens; log probabilities are those of the
/// network itself, whatever the temperature, and an empty text has none.
#[derive(Clone)]
pub struct Llama {
    model: Arc<Model>,
    threads: usize,
}

struct Model {
    sha256: String,
    bpe: Bpe,
    context: usize,
    /// Stands where a text begins that nothing precedes.
    prefix: Token,
    prefix_name: String,
    /// Whether every prompt begins with `prefix`.
    always_prefix: bool,
    ends: Vec<Token>,
    chat: Option<Chat>,
    network: Network,
}

/// Sizes of a network.
#[derive(Clone, Copy, Debug)]
struct Shape {
    layers: usize,
    width: usize,
    heads: usize,
    key_heads: usize,
    head: usize,
    epsilon: f64,
    rope_base: f64,
}

struct Network {
    device: Device,
    shape: Shape,
    /// `[vocabulary, width]`
    embedding: Tensor<2>,
    layers: Vec<Layer>,
    /// `[1, width]`
    norm: Tensor<2>,
    /// `[width, vocabulary]`
    head: Tensor<2>,
}

/// Matrices are `[in, out]`, norms `[1, width]`.
struct Layer {
    attention_norm: Tensor<2>,
    /// Queries, keys and values side by side.
    queries_keys_values: Tensor<2>,
    attention_output: Tensor<2>,
    mlp_norm: Tensor<2>,
    /// Gate and up projection side by side.
    gate_up: Tensor<2>,
    down: Tensor<2>,
}

/// Keys and values of the tokens that a text begins with, per layer
/// `[1, key_heads, tokens, head]`.
#[derive(Clone, Default)]
struct Cache {
    tokens: usize,
    layers: Vec<(Tensor<4>, Tensor<4>)>,
}

/// Tokens of one text that go through the network.
struct Part<'a> {
    tokens: &'a [Token],
    /// What precedes them, and gets them added.
    cache: Option<&'a mut Cache>,
}

impl Network {
    fn load(gguf: &Gguf, shape: Shape, vocabulary: usize) -> Result<Self, LlamaError> {
        let device = Device::flex();
        let Shape { layers, width, heads, key_heads, head, .. } = shape;
        let read = |name: &str, expected: &[usize]| {
            let (found, values) = gguf.tensor(name)?;
            if found != expected {
                return Err(unsupported(gguf, format!("{name} is {found:?} and not {expected:?}")));
            }
            Ok(values)
        };
        let matrix = |values: Vec<f32>, outputs: usize, inputs: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [outputs, inputs]), &device)
        };
        let norm = |name: &str| Ok::<_, LlamaError>(matrix(read(name, &[width])?, 1, width));
        let embedding = matrix(read("token_embd.weight", &[vocabulary, width])?, vocabulary, width);
        let output = if gguf.tensor_names().any(|name| name == "output.weight") {
            matrix(read("output.weight", &[vocabulary, width])?, vocabulary, width)
        } else {
            embedding.clone()
        };
        let (query_width, key_width) = (heads * head, key_heads * head);
        let mut loaded = Vec::with_capacity(layers);
        for layer in 0..layers {
            let name = |what: &str| format!("blk.{layer}.{what}.weight");
            let mut qkv = halves(&read(&name("attn_q"), &[query_width, width])?, head, width);
            qkv.extend(halves(&read(&name("attn_k"), &[key_width, width])?, head, width));
            qkv.extend(read(&name("attn_v"), &[key_width, width])?);
            let gate = gguf.tensor(&name("ffn_gate"))?.0;
            let [inner, _] = gate[..] else {
                return Err(unsupported(gguf, format!("{} is {gate:?}", name("ffn_gate"))));
            };
            let mut gate_up = read(&name("ffn_gate"), &[inner, width])?;
            gate_up.extend(read(&name("ffn_up"), &[inner, width])?);
            let output = read(&name("attn_output"), &[width, query_width])?;
            let down = read(&name("ffn_down"), &[width, inner])?;
            loaded.push(Layer {
                attention_norm: norm(&name("attn_norm"))?,
                queries_keys_values: matrix(qkv, query_width + 2 * key_width, width).transpose(),
                attention_output: matrix(output, width, query_width).transpose(),
                mlp_norm: norm(&name("ffn_norm"))?,
                gate_up: matrix(gate_up, 2 * inner, width).transpose(),
                down: matrix(down, width, inner).transpose(),
            });
        }
        Ok(Self {
            shape,
            norm: norm("output_norm.weight")?,
            head: output.transpose(),
            embedding,
            layers: loaded,
            device,
        })
    }

    /// What the network makes of texts: a row for each token, in order. Nothing when it is to stop.
    ///
    /// # Shapes
    /// output: `[tokens of all parts, width]`
    fn forward(&self, parts: &mut [Part<'_>], stopped: &dyn Fn() -> bool) -> Option<Tensor<2>> {
        let Shape { heads, key_heads, head, epsilon, .. } = self.shape;
        let mut tokens: Vec<Token> = parts.iter().flat_map(|part| part.tokens).copied().collect();
        let mut positions: Vec<usize> = Vec::with_capacity(tokens.len());
        for part in &*parts {
            let before = part.cache.as_ref().map_or(0, |cache| cache.tokens);
            positions.extend(before..before + part.tokens.len());
        }
        let rows = tokens.len();
        // One row alone would take another path through the kernels.
        if rows == 1 {
            tokens.push(tokens[0]);
            positions.push(positions[0]);
        }
        let padded = tokens.len();
        let (cosines, sines) = self.rotations(&positions);
        let mut x = self
            .embedding
            .clone()
            .select(0, self.indices(tokens.iter().map(|&token| i64::from(token))));
        for (number, layer) in self.layers.iter().enumerate() {
            if stopped() {
                return None;
            }
            let normed = rms_norm(x.clone(), &layer.attention_norm, epsilon);
            let all = normed.matmul(layer.queries_keys_values.clone()).reshape([
                padded,
                heads + 2 * key_heads,
                head,
            ]);
            let values = all.clone().slice(s![.., heads + key_heads.., ..]);
            let rotated = rotate(all.slice(s![.., ..heads + key_heads, ..]), &cosines, &sines);
            let mut outputs = Vec::new();
            let mut first = 0;
            let mut index = 0;
            while index < parts.len() {
                // Texts of equal length that nothing precedes are looked at together.
                let length = parts[index].tokens.len();
                let alike = match parts[index].cache {
                    Some(_) => 1,
                    None => parts[index..]
                        .iter()
                        .take_while(|part| part.cache.is_none() && part.tokens.len() == length)
                        .count(),
                };
                let range = first..first + alike * length;
                let of = |tensor: &Tensor<3>, from: usize, to: usize| {
                    tensor
                        .clone()
                        .slice([range.clone(), from..to, 0..head])
                        .reshape([alike, length, to - from, head])
                        .swap_dims(1, 2)
                };
                let queries = of(&rotated, 0, heads);
                let mut keys = of(&rotated, heads, heads + key_heads);
                let mut values = of(&values, 0, key_heads);
                if let Some(cache) = &mut parts[index].cache {
                    if let Some(before) = cache.layers.get_mut(number) {
                        keys = Tensor::cat(vec![before.0.clone(), keys], 2);
                        values = Tensor::cat(vec![before.1.clone(), values], 2);
                        *before = (keys.clone(), values.clone());
                    } else {
                        cache.layers.push((keys.clone(), values.clone()));
                    }
                }
                let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
                let output = attention(queries, keys, values, None, None, options);
                outputs.push(output.swap_dims(1, 2).reshape([alike * length, heads * head]));
                first = range.end;
                index += alike;
            }
            if rows < padded {
                outputs.push(outputs[0].clone());
            }
            let attended = Tensor::cat(outputs, 0).matmul(layer.attention_output.clone());
            x = x + attended;
            let normed = rms_norm(x.clone(), &layer.mlp_norm, epsilon);
            let both = normed.matmul(layer.gate_up.clone());
            let [inner, _] = layer.down.dims();
            let (gate, up) = (both.clone().slice(s![.., ..inner]), both.slice(s![.., inner..]));
            x = x + (silu(gate) * up).matmul(layer.down.clone());
        }
        for part in parts {
            if let Some(cache) = &mut part.cache {
                cache.tokens += part.tokens.len();
            }
        }
        Some(rms_norm(x, &self.norm, epsilon).slice(s![..rows, ..]))
    }

    /// Logits after some rows of what [`Network::forward`] gave, handed over row by row.
    fn logits(&self, hidden: &Tensor<2>, rows: &[usize], mut each: impl FnMut(usize, &[f32])) {
        for (chunk, wanted) in rows.chunks(LOGIT_ROWS).enumerate() {
            // One row alone would take another path through the kernels.
            let doubled = (wanted.len() == 1).then_some(wanted[0]);
            let indices = self.indices(wanted.iter().copied().chain(doubled).map(|row| row as i64));
            let logits = hidden.clone().select(0, indices).matmul(self.head.clone());
            let [_, vocabulary] = logits.dims();
            let data = logits.into_data();
            // The network is of f32; without rows no request would be answered, which is an error.
            let values = data.as_slice::<f32>().unwrap_or_default();
            for (place, row) in values.chunks_exact(vocabulary).take(wanted.len()).enumerate() {
                each(chunk * LOGIT_ROWS + place, row);
            }
        }
    }

    fn indices(&self, indices: impl Iterator<Item = i64>) -> Tensor<1, Int> {
        let indices: Vec<i64> = indices.collect();
        let count = indices.len();
        Tensor::from_data(TensorData::new(indices, [count]), &self.device)
    }

    /// Cosines and sines for positions, `[tokens, 1, head / 2]`.
    fn rotations(&self, positions: &[usize]) -> (Tensor<3>, Tensor<3>) {
        let half = self.shape.head / 2;
        let angles = || {
            positions.iter().flat_map(move |&position| {
                (0..half).map(move |pair| {
                    let exponent = -(pair as f64) / half as f64;
                    position as f64 * self.shape.rope_base.powf(exponent)
                })
            })
        };
        let tensor = |values: Vec<f32>| {
            Tensor::from_data(TensorData::new(values, [positions.len(), 1, half]), &self.device)
        };
        (
            tensor(angles().map(|angle| angle.cos() as f32).collect()),
            tensor(angles().map(|angle| angle.sin() as f32).collect()),
        )
    }
}

/// Rows of a matrix whose heads have pairs of neighbours, so that a head has the first of each pair,
/// then the second: pairs that lie in halves are rotated as whole slices. Queries and keys reordered
/// alike have the same products.
fn halves(matrix: &[f32], head: usize, width: usize) -> Vec<f32> {
    matrix
        .chunks_exact(head * width)
        .flat_map(|head| {
            let rows = || head.chunks_exact(width);
            rows().step_by(2).chain(rows().skip(1).step_by(2)).flatten().copied()
        })
        .collect()
}

fn rotate(x: Tensor<3>, cosines: &Tensor<3>, sines: &Tensor<3>) -> Tensor<3> {
    let half = x.dims()[2] / 2;
    let (first, second) = (x.clone().slice(s![.., .., ..half]), x.slice(s![.., .., half..]));
    let (cosines, sines) = (|| cosines.clone(), || sines.clone());
    Tensor::cat(
        vec![
            first.clone() * cosines() - second.clone() * sines(),
            second * cosines() + first * sines(),
        ],
        2,
    )
}

fn rms_norm(x: Tensor<2>, weight: &Tensor<2>, epsilon: f64) -> Tensor<2> {
    let squares = (x.clone() * x.clone()).mean_dim(1);
    x / (squares + epsilon).sqrt() * weight.clone()
}

fn unsupported(gguf: &Gguf, what: String) -> LlamaError {
    LlamaError::Unsupported { path: gguf.path().display().to_string(), what }
}

/// The parts of a ChatML template.
struct Chat {
    /// What comes before the user's message, and after it.
    before: Vec<Token>,
    after: Vec<Token>,
}

impl Chat {
    fn from_gguf(gguf: &Gguf, bpe: &Bpe) -> Result<Self, LlamaError> {
        let template =
            gguf.metadata("tokenizer.chat_template").and_then(Value::as_str).unwrap_or_default();
        let (Some(start), Some(end)) = (bpe.control("<|im_start|>"), bpe.control("<|im_end|>"))
        else {
            return Err(unsupported(
                gguf,
                "it has no tokens of ChatML; ask it without chat".to_owned(),
            ));
        };
        if !template.contains("<|im_start|>") {
            return Err(unsupported(
                gguf,
                "its template is not ChatML; ask it without chat".to_owned(),
            ));
        }
        let mut before = Vec::new();
        // A literal message of the system, which templates have for those that bring none.
        let literal = template
            .split_once("<|im_start|>system\n")
            .and_then(|(_, rest)| rest.split_once("<|im_end|>"))
            .map(|(message, _)| message)
            .filter(|message| !message.contains(['{', '\'']));
        if let Some(message) = literal {
            before.push(start);
            before.extend(bpe.encode("system\n"));
            before.extend(bpe.encode(message));
            before.push(end);
            before.extend(bpe.encode("\n"));
        }
        before.push(start);
        before.extend(bpe.encode("user\n"));
        let mut after = vec![end];
        after.extend(bpe.encode("\n"));
        after.push(start);
        after.extend(bpe.encode("assistant\n"));
        Ok(Self { before, after })
    }
}

/// A text to score: the network sees `tokens` but the last, and predicts those from `scored` on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    request: usize,
    /// Which of the request's windows.
    number: usize,
    tokens: Vec<Token>,
    scored: usize,
}

/// Windows that are computed together.
#[derive(Default)]
struct Pack {
    /// What all of them begin with, beyond which each goes on by itself; empty for nothing.
    prompt: Vec<Token>,
    windows: Vec<Window>,
}

/// Puts windows together.
///
/// Those with long prompts go to those with the same, which is then seen once. Whether a prompt is seen
/// by itself depends on its length alone, so that the texts beside it change no bit.
fn packs(windows: Vec<Window>, threads: usize) -> VecDeque<Pack> {
    let mut shared: BTreeMap<Vec<Token>, Vec<Window>> = BTreeMap::new();
    let mut others = Vec::new();
    for window in windows {
        let prompt = &window.tokens[..window.scored - 1];
        if prompt.len() < SHARED_PROMPT {
            others.push(window);
        } else if let Some(known) = shared.get_mut(prompt) {
            known.push(window);
        } else {
            shared.insert(prompt.to_vec(), vec![window]);
        }
    }
    let mut packs: VecDeque<Pack> = VecDeque::new();
    for (prompt, windows) in shared {
        let (mut pack, mut filled) = (Vec::new(), 0);
        for window in windows {
            filled += window.tokens.len() - 1 - prompt.len();
            pack.push(window);
            if filled >= SCORED_ROWS {
                let windows = std::mem::take(&mut pack);
                packs.push_back(Pack { prompt: prompt.clone(), windows });
                filled = 0;
            }
        }
        if !pack.is_empty() {
            packs.push_back(Pack { prompt, windows: pack });
        }
    }
    // Long ones first, so that threads end together; equal lengths are computed together.
    others.sort_by_key(|window| std::cmp::Reverse(window.tokens.len()));
    let rows: usize = others.iter().map(|window| window.tokens.len() - 1).sum();
    let enough = rows.div_ceil(threads).clamp(1, SCORED_ROWS);
    let (mut pack, mut filled) = (Pack::default(), 0);
    for window in others {
        filled += window.tokens.len() - 1;
        pack.windows.push(window);
        if filled >= enough {
            packs.push_back(std::mem::take(&mut pack));
            filled = 0;
        }
    }
    packs.extend((!pack.windows.is_empty()).then_some(pack));
    packs
}

/// Where the windows of a long text begin, from where on they are predicted, and where they end.
///
/// As in HELM: a window has at most `context` tokens; each predicts what the one before it did not,
/// and sees at least one token before that, the last one as many as fit. A prompt keeps up to half of
/// the first window where the text fills it.
fn windows(prompt: usize, text: usize, context: usize) -> Vec<(usize, usize, usize)> {
    let total = prompt + text;
    let kept = prompt.min((context.saturating_sub(text)).max(context / 2).max(1));
    let mut windows = Vec::new();
    let (mut start, mut scored) = (prompt - kept, prompt);
    while scored < total {
        let end = total.min(start + context);
        windows.push((start, scored, end));
        scored = end;
        let left = (total - end).min(context - 1);
        start = (end + left).saturating_sub(context);
    }
    windows
}

/// A text that is being continued.
struct Growing {
    request: usize,
    completion: usize,
    cache: Cache,
    last: Token,
    random: ChaCha8Rng,
    bytes: Vec<u8>,
    /// Where each token's bytes begin, and the logarithm of its probability.
    tokens: Vec<(usize, f64)>,
}

/// Texts of a request that were continued.
struct Grown {
    request: usize,
    prompt_tokens: usize,
    /// Texts asked for; equal ones are computed once.
    wanted: usize,
    texts: Vec<Option<Completion>>,
}

/// Work that threads take.
struct Queue {
    scores: VecDeque<Pack>,
    texts: VecDeque<(usize, Vec<Token>)>,
}

/// What threads send.
enum Done {
    /// Requests, which of their windows, and log probabilities.
    Scored(Vec<(usize, usize, f64)>),
    Answered(usize, Answer),
}

impl Llama {
    /// Loads a file, to be computed with one thread.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that cannot be run.
    pub fn open(path: &Path, options: &LlamaOptions) -> Result<Self, LlamaError> {
        Ok(Self { model: Arc::new(Model::open(path, options)?), threads: 1 })
    }

    /// The same network, computed with a number of threads.
    #[must_use]
    pub fn with_threads(&self, threads: usize) -> Self {
        Self { model: Arc::clone(&self.model), threads: threads.max(1) }
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.model.sha256
    }

    /// Its tokeniser.
    pub fn bpe(&self) -> &Bpe {
        &self.model.bpe
    }
}

impl Model {
    fn open(path: &Path, options: &LlamaOptions) -> Result<Self, LlamaError> {
        let gguf = Gguf::open(path)?;
        let architecture =
            gguf.metadata("general.architecture").and_then(Value::as_str).unwrap_or_default();
        if architecture != "llama" {
            return Err(unsupported(
                &gguf,
                format!("it is of architecture \"{architecture}\", and only \"llama\" is built"),
            ));
        }
        let required = |key: &str| {
            gguf.metadata(key)
                .ok_or_else(|| unsupported(&gguf, format!("it has no metadata {key}")))
        };
        let number = |key: &str| {
            let value = required(key)?.as_u64().and_then(|value| usize::try_from(value).ok());
            value
                .filter(|value| (1..=1 << 24).contains(value))
                .ok_or_else(|| unsupported(&gguf, format!("metadata {key} is no size")))
        };
        let width = number("llama.embedding_length")?;
        let heads = number("llama.attention.head_count")?;
        let key_heads = match gguf.metadata("llama.attention.head_count_kv") {
            Some(_) => number("llama.attention.head_count_kv")?,
            None => heads,
        };
        let head = width / heads;
        let rotated = match gguf.metadata("llama.rope.dimension_count") {
            Some(_) => number("llama.rope.dimension_count")?,
            None => head,
        };
        if head * heads != width || heads % key_heads != 0 || head % 2 != 0 || rotated != head {
            return Err(unsupported(
                &gguf,
                format!(
                    "{heads} and {key_heads} heads with {rotated} rotated dimensions do not fit a width of {width}"
                ),
            ));
        }
        let scaled = gguf.metadata("llama.rope.scaling.type").and_then(Value::as_str);
        if scaled.is_some_and(|scaling| scaling != "none")
            || gguf
                .tensor_names()
                .any(|name| name == "rope_freqs.weight" || name.ends_with(".bias"))
        {
            return Err(unsupported(&gguf, "scaled positions and biases are not built".to_owned()));
        }
        let shape = Shape {
            layers: number("llama.block_count")?,
            width,
            heads,
            key_heads,
            head,
            epsilon: required("llama.attention.layer_norm_rms_epsilon")?.as_f64().unwrap_or(1e-5),
            rope_base: gguf
                .metadata("llama.rope.freq_base")
                .and_then(Value::as_f64)
                .unwrap_or(10_000.0),
        };
        let trained = number("llama.context_length")?;
        let context = options.context.unwrap_or(trained);
        if !(2..=trained).contains(&context) {
            return Err(unsupported(
                &gguf,
                format!(
                    "a context of {context} tokens is not between 2 and the {trained} it was trained with"
                ),
            ));
        }
        let bpe = Bpe::from_gguf(&gguf)?;
        let special = |key: &str| {
            let token = gguf.metadata(key)?.as_u64()?;
            Token::try_from(token).ok().filter(|&token| (token as usize) < bpe.len())
        };
        let document = bpe.control("<|endoftext|>");
        let end = special("tokenizer.ggml.eos_token_id");
        let prefix =
            document.or_else(|| special("tokenizer.ggml.bos_token_id")).or(end).ok_or_else(
                || unsupported(&gguf, "it names no token that texts begin with".to_owned()),
            )?;
        let mut ends: Vec<Token> = document
            .into_iter()
            .chain(end)
            .chain(special("tokenizer.ggml.eot_token_id"))
            .chain(bpe.control("<|im_end|>"))
            .collect();
        ends.sort_unstable();
        ends.dedup();
        let prefix_name = match document {
            Some(_) => "<|endoftext|>".to_owned(),
            None => prefix.to_string(),
        };
        let chat = if options.chat { Some(Chat::from_gguf(&gguf, &bpe)?) } else { None };
        Ok(Self {
            sha256: gguf.sha256()?,
            network: Network::load(&gguf, shape, bpe.len())?,
            always_prefix: gguf
                .metadata("tokenizer.ggml.add_bos_token")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            bpe,
            context,
            prefix,
            prefix_name,
            ends,
            chat,
        })
    }

    /// Tokens of a prompt, and of a text that continues it.
    ///
    /// Texts are split as lm-evaluation-harness does: spaces at the end of the prompt belong to the
    /// continuation, whose tokens are those of both together beyond as many as the prompt has alone.
    fn tokens(&self, prompt: &str, continuation: &str) -> (Vec<Token>, Vec<Token>) {
        let mut tokens = Vec::new();
        if prompt.is_empty() || (self.always_prefix && self.chat.is_none()) {
            tokens.push(self.prefix);
        }
        if let Some(chat) = self.chat.as_ref().filter(|_| !prompt.is_empty()) {
            tokens.extend(&chat.before);
            tokens.extend(self.bpe.encode(prompt));
            tokens.extend(&chat.after);
            return (tokens, self.bpe.encode(continuation));
        }
        if continuation.is_empty() {
            tokens.extend(self.bpe.encode(prompt));
            return (tokens, Vec::new());
        }
        let context = prompt.trim_end();
        let mut whole = self.bpe.encode(&format!("{prompt}{continuation}"));
        let scored = whole.split_off(self.bpe.encode(context).len().min(whole.len()));
        tokens.extend(whole);
        if tokens.is_empty() {
            tokens.push(self.prefix);
        }
        (tokens, scored)
    }

    /// Log probabilities of windows, each summed.
    fn score(&self, pack: &Pack, stopped: &dyn Fn() -> bool) -> Option<Vec<(usize, usize, f64)>> {
        let (windows, before) = (&pack.windows, pack.prompt.len());
        let mut prompt = Cache::default();
        if before > 0 {
            let mut parts = [Part { tokens: &pack.prompt, cache: Some(&mut prompt) }];
            self.network.forward(&mut parts, stopped)?;
        }
        let caches = windows.iter().map(|_| (before > 0).then(|| prompt.clone()));
        let mut caches: Vec<Option<Cache>> = caches.collect();
        let mut parts: Vec<Part<'_>> = windows
            .iter()
            .zip(&mut caches)
            .map(|(window, cache)| Part {
                tokens: &window.tokens[before..window.tokens.len() - 1],
                cache: cache.as_mut(),
            })
            .collect();
        let hidden = self.network.forward(&mut parts, stopped)?;
        // The row that predicts a token is that of the token before it.
        let mut wanted = Vec::new();
        let mut owners = Vec::new();
        let mut first = 0;
        for (place, window) in windows.iter().enumerate() {
            for token in window.scored..window.tokens.len() {
                wanted.push(first + token - 1 - before);
                owners.push((place, window.tokens[token]));
            }
            first += window.tokens.len() - 1 - before;
        }
        let mut sums: Vec<_> =
            windows.iter().map(|window| (window.request, window.number, 0.0)).collect();
        self.network.logits(&hidden, &wanted, |row, logits| {
            let (place, token) = owners[row];
            sums[place].2 += log_probability(logits, token);
        });
        Some(sums)
    }

    /// Continues texts until none is left: of those that wait, a few at a time.
    fn grow(
        &self,
        requests: &[Request],
        queue: &Mutex<Queue>,
        together: usize,
        stopped: &dyn Fn() -> bool,
        send: &dyn Fn(Done) -> bool,
    ) {
        let mut growing: Vec<Growing> = Vec::new();
        let mut waiting: VecDeque<(Growing, Option<Completion>)> = VecDeque::new();
        let mut grown: Vec<Grown> = Vec::new();
        loop {
            while growing.len() < together {
                if let Some((text, finished)) = waiting.pop_front() {
                    match finished {
                        None => growing.push(text),
                        Some(completion) => {
                            if !finish(&mut grown, text.request, text.completion, completion, send)
                            {
                                return;
                            }
                        }
                    }
                    continue;
                }
                let taken = queue.lock().unwrap_or_else(PoisonError::into_inner).texts.pop_front();
                let Some((request, prompt)) = taken else { break };
                let Request::Generate { prompt: text, sampling } = &requests[request] else {
                    continue;
                };
                let wanted = sampling.completions.max(1) as usize;
                // All texts of a greedy request are the same.
                let draws = if sampling.temperature > 0.0 { wanted } else { 1 };
                let texts = vec![None; draws];
                grown.push(Grown { request, prompt_tokens: prompt.len(), wanted, texts });
                let mut cache = Cache::default();
                let mut parts = [Part { tokens: &prompt, cache: Some(&mut cache) }];
                let Some(hidden) = self.network.forward(&mut parts, stopped) else { return };
                self.network.logits(&hidden, &[prompt.len() - 1], |_, logits| {
                    for completion in 0..draws {
                        let mut text = Growing {
                            request,
                            completion,
                            cache: cache.clone(),
                            last: self.prefix,
                            random: random(text, sampling.seed, completion as u64),
                            bytes: Vec::new(),
                            tokens: Vec::new(),
                        };
                        let finished = self.next(&mut text, sampling, logits);
                        waiting.push_back((text, finished));
                    }
                });
            }
            if growing.is_empty() {
                return;
            }
            let lasts: Vec<[Token; 1]> = growing.iter().map(|text| [text.last]).collect();
            let mut parts: Vec<Part<'_>> = growing
                .iter_mut()
                .zip(&lasts)
                .map(|(text, last)| Part { tokens: last, cache: Some(&mut text.cache) })
                .collect();
            let Some(hidden) = self.network.forward(&mut parts, stopped) else { return };
            let rows: Vec<usize> = (0..growing.len()).collect();
            let mut finished = Vec::new();
            self.network.logits(&hidden, &rows, |row, logits| {
                let text = &mut growing[row];
                if let Request::Generate { sampling, .. } = &requests[text.request] {
                    finished.push(self.next(text, sampling, logits));
                }
            });
            let mut row = 0;
            let mut ended = Vec::new();
            growing.retain(|text| {
                row += 1;
                finished[row - 1]
                    .take()
                    .map(|completion| ended.push((text.request, text.completion, completion)))
                    .is_none()
            });
            for (request, completion, text) in ended {
                if !finish(&mut grown, request, completion, text, send) {
                    return;
                }
            }
        }
    }

    /// Chooses the next token of a text; gives the text when it ends there.
    fn next(&self, text: &mut Growing, sampling: &Sampling, logits: &[f32]) -> Option<Completion> {
        if sampling.max_tokens == 0 {
            return Some(completed(text, "length"));
        }
        let token = choose(logits, sampling, &mut text.random);
        if self.ends.contains(&token) {
            return Some(completed(text, "stop"));
        }
        let begin = text.bytes.len();
        text.tokens.push((begin, log_probability(logits, token)));
        text.bytes.extend_from_slice(self.bpe.bytes(token));
        text.last = token;
        let stop = sampling
            .stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| {
                // Earlier bytes were looked at before.
                let from = begin.saturating_sub(stop.len() - 1);
                let mut places = text.bytes[from..].windows(stop.len());
                places.position(|bytes| bytes == stop.as_bytes()).map(|place| from + place)
            })
            .min();
        if let Some(end) = stop {
            text.bytes.truncate(end);
            text.tokens.retain(|&(begin, _)| begin < end);
            return Some(completed(text, "stop"));
        }
        (text.tokens.len() >= sampling.max_tokens as usize).then(|| completed(text, "length"))
    }

    /// Works until nothing is left.
    fn work(
        &self,
        requests: &[Request],
        queue: &Mutex<Queue>,
        together: usize,
        stopped: &dyn Fn() -> bool,
        send: &dyn Fn(Done) -> bool,
    ) {
        loop {
            let pack = queue.lock().unwrap_or_else(PoisonError::into_inner).scores.pop_front();
            let Some(pack) = pack else { break };
            let Some(sums) = self.score(&pack, stopped) else { return };
            if !send(Done::Scored(sums)) {
                return;
            }
        }
        self.grow(requests, queue, together, stopped, send);
    }
}

/// A text that ended.
fn completed(text: &Growing, reason: &str) -> Completion {
    Completion {
        text: String::from_utf8_lossy(&text.bytes).into_owned(),
        // Nothing is no certainty.
        log_probability: (!text.tokens.is_empty())
            .then(|| text.tokens.iter().map(|&(_, value)| value).sum()),
        tokens: Some(text.tokens.len() as u32),
        finish_reason: Some(reason.to_owned()),
    }
}

/// Keeps a text that ended, and sends its request's answer when it was the last. Says whether anybody
/// still listens.
fn finish(
    grown: &mut Vec<Grown>,
    request: usize,
    completion: usize,
    text: Completion,
    send: &dyn Fn(Done) -> bool,
) -> bool {
    let Some(place) = grown.iter().position(|grown| grown.request == request) else { return true };
    grown[place].texts[completion] = Some(text);
    if grown[place].texts.iter().any(Option::is_none) {
        return true;
    }
    let Grown { wanted, prompt_tokens, texts, .. } = grown.swap_remove(place);
    let completions = texts.iter().flatten().cycle().take(wanted).cloned().collect();
    let prompt_tokens = Some(prompt_tokens as u32);
    send(Done::Answered(request, Answer { completions, prompt_tokens, seconds: None }))
}

/// What the draws of a text come from: other prompts and other texts of a prompt draw anew.
fn random(prompt: &str, seed: u64, completion: u64) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(prompt);
    let mut random = ChaCha8Rng::from_seed(hash.finalize().into());
    random.set_stream(completion);
    random
}

/// The natural logarithm of a token's probability.
fn log_probability(logits: &[f32], token: Token) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from((logit - largest).exp())).sum();
    f64::from(logits[token as usize] - largest) - sum.ln()
}

/// The next token: the likeliest (the first of equals), or one that is drawn.
fn choose(logits: &[f32], sampling: &Sampling, random: &mut ChaCha8Rng) -> Token {
    let mut best = 0;
    for (token, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = token;
        }
    }
    if sampling.temperature <= 0.0 {
        return best as Token;
    }
    let largest = f64::from(logits[best]);
    let mut weights: Vec<(Token, f64)> = (0..)
        .zip(logits)
        .map(|(token, &logit)| (token, ((f64::from(logit) - largest) / sampling.temperature).exp()))
        .collect();
    let mut total: f64 = weights.iter().map(|&(_, weight)| weight).sum();
    if sampling.top_p < 1.0 {
        weights.sort_by(|left, right| right.1.total_cmp(&left.1));
        let enough = sampling.top_p * total;
        let mut sum = 0.0;
        let kept = weights.iter().take_while(|&&(_, weight)| {
            let wanted = sum < enough;
            if wanted {
                sum += weight;
            }
            wanted
        });
        let kept = kept.count().max(1);
        weights.truncate(kept);
        total = weights.iter().map(|&(_, weight)| weight).sum();
    }
    let mut left = random.random::<f64>() * total;
    for &(token, weight) in &weights {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    best as Token
}

/// What is known of the answer to a request for scores.
struct Scored {
    prompt_tokens: u32,
    tokens: u32,
    windows: Vec<Option<f64>>,
}

impl LanguageModel for Llama {
    fn identity(&self) -> String {
        let model = &self.model;
        let chat = if model.chat.is_some() { ", chat" } else { "" };
        format!(
            "gguf sha256:{} from {}, {} tokens{chat}, numerics {NUMERICS}",
            model.sha256, model.prefix_name, model.context
        )
    }

    fn answer(
        &self,
        requests: &[Request],
        stop: &AtomicBool,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        let (model, threads) = (&self.model, self.threads);
        let mut scored: Vec<Option<Scored>> = Vec::with_capacity(requests.len());
        let mut pieces = Vec::new();
        let mut texts = VecDeque::new();
        for (request, asked) in requests.iter().enumerate() {
            let mut known = None;
            match asked {
                Request::Score { prompt, continuation, .. } => {
                    let (mut tokens, text) = model.tokens(prompt, continuation);
                    let (before, count) = (tokens.len(), text.len());
                    tokens.extend(text);
                    let windows = windows(before, count, model.context);
                    known = Some(Scored {
                        prompt_tokens: before as u32,
                        tokens: count as u32,
                        windows: vec![None; windows.len()],
                    });
                    pieces.extend(windows.into_iter().enumerate().map(
                        |(number, (start, first, end))| Window {
                            request,
                            number,
                            tokens: tokens[start..end].to_vec(),
                            scored: first - start,
                        },
                    ));
                }
                Request::Generate { prompt, sampling } => {
                    let (mut tokens, _) = model.tokens(prompt, "");
                    let room = model.context.saturating_sub(sampling.max_tokens as usize);
                    if room == 0 {
                        let wanted = sampling.max_tokens;
                        return Err(ModelError::Failed(
                            format!(
                                "{wanted} tokens were asked of a model that sees {}",
                                model.context
                            )
                            .into(),
                        ));
                    }
                    tokens.drain(..tokens.len().saturating_sub(room));
                    texts.push_back((request, tokens));
                }
            }
            scored.push(known);
        }
        let together = texts.len().div_ceil(threads).clamp(1, CONTINUED);
        let queue = Mutex::new(Queue { scores: packs(pieces, threads), texts });

        let mut left = requests.len();
        let mut kept = Ok(());
        let mut keep = |request, answer, kept: &mut Result<(), ModelError>| {
            if kept.is_ok() {
                left -= 1;
                *kept = take(request, answer).map_err(ModelError::Keep);
            }
        };
        for (request, known) in scored.iter().enumerate() {
            // Nothing has to be computed for empty texts.
            if let Some(known) = known.as_ref().filter(|known| known.windows.is_empty()) {
                keep(request, known.answer(&requests[request]), &mut kept);
            }
        }
        let given_up = AtomicBool::new(false);
        let stopped = || stop.load(Ordering::Relaxed) || given_up.load(Ordering::Relaxed);
        let panicked = std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let (sender, queue, stopped) = (sender.clone(), &queue, &stopped);
                    scope.spawn(move || {
                        model.work(requests, queue, together, stopped, &|done| {
                            sender.send(done).is_ok()
                        });
                    })
                })
                .collect();
            drop(sender);
            for done in receiver {
                match done {
                    Done::Answered(request, answer) => keep(request, answer, &mut kept),
                    Done::Scored(sums) => {
                        for (request, number, sum) in sums {
                            let Some(known) = &mut scored[request] else { continue };
                            known.windows[number] = Some(sum);
                            if known.windows.iter().all(Option::is_some) {
                                keep(request, known.answer(&requests[request]), &mut kept);
                            }
                        }
                    }
                }
                if kept.is_err() {
                    given_up.store(true, Ordering::Relaxed);
                }
            }
            workers.into_iter().any(|worker| worker.join().is_err())
        });
        kept?;
        if panicked {
            return Err(ModelError::Failed("a thread that computes panicked".into()));
        }
        if left > 0 { Err(ModelError::Interrupted) } else { Ok(()) }
    }
}

impl Scored {
    fn answer(&self, request: &Request) -> Answer {
        let text = match request {
            Request::Score { continuation, .. } => continuation.clone(),
            Request::Generate { .. } => String::new(),
        };
        Answer {
            completions: vec![Completion {
                text,
                // In order, for sums depend on it.
                log_probability: Some(
                    self.windows.iter().flatten().fold(0.0, |sum, part| sum + part),
                ),
                tokens: Some(self.tokens),
                finish_reason: None,
            }],
            prompt_tokens: Some(self.prompt_tokens),
            seconds: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_long_texts_are_helms() {
        // One token before the text, ten of it, windows of four: worked out by hand after HELM's
        // language modelling adapter. Each triple: begins, predicts from, ends.
        assert_eq!(windows(1, 10, 4), [(0, 1, 4), (3, 4, 7), (6, 7, 10), (7, 10, 11)]);
        assert_eq!(windows(1, 3, 4), [(0, 1, 4)]);
        assert_eq!(windows(1, 4, 4), [(0, 1, 4), (1, 4, 5)]);
        // A prompt stays whole where it fits, then as much of its end as fits.
        assert_eq!(windows(3, 2, 8), [(0, 3, 5)]);
        assert_eq!(windows(30, 2, 8), [(24, 30, 32)]);
        // And half of the first window where the text would fill it.
        assert_eq!(windows(30, 10, 8), [(26, 30, 34), (32, 34, 40)]);
        assert_eq!(windows(5, 0, 8), []);
    }

    #[test]
    fn every_token_is_predicted_once_and_sees_one_before() {
        for context in 2..9 {
            for prompt in 1..12 {
                for text in 0..30 {
                    let mut next = prompt;
                    for (start, scored, end) in windows(prompt, text, context) {
                        assert_eq!(scored, next);
                        assert!(start < scored && scored < end && end - start <= context);
                        next = end;
                    }
                    assert_eq!(next, prompt + text, "{prompt} {text} {context}");
                }
            }
        }
    }

    #[test]
    fn draws_follow_probabilities() {
        // Probabilities 0.5, 0.3 and 0.2; at temperature 0.5 their squares over 0.38.
        let logits = [0.3f32.ln(), 0.5f32.ln(), 0.2f32.ln()];
        let draw = |temperature: f64, top_p: f64| {
            let sampling = Sampling {
                max_tokens: 1,
                temperature,
                top_p,
                stop: Vec::new(),
                completions: 1,
                seed: 0,
            };
            let mut counts = [0.0; 3];
            let mut random = random("", 3, 0);
            for _ in 0..20_000 {
                counts[choose(&logits, &sampling, &mut random) as usize] += 1.0 / 20_000.0;
            }
            counts
        };
        let close = |found: [f64; 3], expected: [f64; 3]| {
            // Four standard errors of a share of 20,000 draws are at most 0.0142.
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.0142), "{found:?}");
        };
        close(draw(1.0, 1.0), [0.3, 0.5, 0.2]);
        close(draw(0.5, 1.0), [0.09 / 0.38, 0.25 / 0.38, 0.04 / 0.38]);
        close(draw(1.0, 0.6), [0.375, 0.625, 0.0]);
        assert_eq!(draw(1.0, 0.4), [0.0, draw(1.0, 0.4)[1], 0.0]);
        assert_eq!(draw(0.0, 1.0)[0], 0.0);
        assert_eq!(draw(0.0, 1.0)[2], 0.0);
    }

    #[test]
    fn probabilities_are_of_all_tokens() {
        let logits = [1.0f32, 2.0, 3.0];
        let sum: f64 = (0..3).map(|token| log_probability(&logits, token).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-7);
        // log softmax of 3 among 1, 2, 3.
        assert!((log_probability(&logits, 2) + 0.407_605_964).abs() < 1e-7);
        // Adding to all changes nothing, however large.
        assert!((log_probability(&[1001.0, 1002.0, 1003.0], 2) + 0.407_605_964).abs() < 1e-7);
    }
}
