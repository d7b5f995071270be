//! Reads GGUF, the file format of llama.cpp: metadata and tensors, weights as `f32`.
//!
//! Version 3, little-endian. Of the block formats those are read that need no tables: `Q4_0`, `Q4_1`
//! and `Q8_0`, beside `F32` and `F16`. The file is read tensor by tensor, never as a whole. Nothing
//! in a damaged file makes this panic or allocate more than the file is long.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

/// Most dimensions of a tensor, as in ggml.
const MAX_DIMENSIONS: u32 = 4;
/// Arrays hold arrays at most this deep, so that a damaged file cannot exhaust the stack.
const MAX_DEPTH: u32 = 4;
/// Elements of a block of `Q4_0`, `Q4_1` and `Q8_0`.
const BLOCK: usize = 32;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The operating system says no.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        #[source]
        error: io::Error,
    },
    /// Another format.
    #[error(
        "{path} is no GGUF file: it begins with {found:02x?} and not with \"GGUF\"; convert the \
         model with llama.cpp's convert_hf_to_gguf.py"
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: [u8; 4],
    },
    /// Another version, or big-endian.
    #[error(
        "{path} is GGUF of version {found} (0x{found:08x}), and only version 3, little-endian, is \
         read; convert the model anew with a current llama.cpp"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it states.
        found: u32,
    },
    /// It ends too early, or states what cannot be.
    #[error("{path} is damaged at byte {position}: {what}; download it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        position: u64,
        /// What is wrong.
        what: String,
    },
    /// A tensor of a format that is not read.
    #[error(
        "tensor {tensor} of {path} is of type {found}, and only F32, F16, Q4_0, Q4_1 and Q8_0 are \
         read; make one of these with `llama-quantize --pure FROM.gguf TO.gguf Q8_0`"
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// A tensor or a piece of metadata that is not there.
    #[error("{path} has no {what}; {remedy}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// How the numbers of a tensor are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    F32,
    F16,
    Q4_0,
    Q4_1,
    Q8_0,
}

impl Format {
    fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            8 => Self::Q8_0,
            _ => return None,
        })
    }

    /// Elements and bytes of a block.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 => (1, 2),
            Self::Q4_0 => (BLOCK, 2 + BLOCK / 2),
            Self::Q4_1 => (BLOCK, 4 + BLOCK / 2),
            Self::Q8_0 => (BLOCK, 2 + BLOCK),
        }
    }

    /// The numbers of whole blocks.
    fn dequantise(self, bytes: &[u8], values: &mut Vec<f32>) {
        let half = |bytes: &[u8]| half_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]));
        for block in bytes.chunks_exact(self.block().1) {
            match self {
                Self::F32 => {
                    values.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]]))
                }
                Self::F16 => values.push(half(block)),
                Self::Q4_0 => {
                    let scale = half(block);
                    let nibble = |q: u8| scale * (f32::from(q) - 8.0);
                    values.extend(block[2..].iter().map(|&byte| nibble(byte & 15)));
                    values.extend(block[2..].iter().map(|&byte| nibble(byte >> 4)));
                }
                Self::Q4_1 => {
                    let (scale, minimum) = (half(block), half(&block[2..]));
                    let nibble = |q: u8| scale * f32::from(q) + minimum;
                    values.extend(block[4..].iter().map(|&byte| nibble(byte & 15)));
                    values.extend(block[4..].iter().map(|&byte| nibble(byte >> 4)));
                }
                Self::Q8_0 => {
                    let scale = half(block);
                    values.extend(
                        block[2..].iter().map(|&byte| scale * f32::from(byte.cast_signed())),
                    );
                }
            }
        }
    }
}

/// ggml's name for a type it may have, for messages.
fn type_name(number: u32) -> String {
    let name = match number {
        6 => "Q5_0",
        7 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K",
        12 => "Q4_K",
        13 => "Q5_K",
        14 => "Q6_K",
        15 => "Q8_K",
        30 => "BF16",
        _ => return format!("number {number}"),
    };
    name.to_owned()
}

/// An IEEE half as `f32`, exactly.
fn half_to_f32(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 0x1f;
    let fraction = u32::from(half) & 0x3ff;
    match (exponent, fraction) {
        (0, _) => {
            // 2^-24 times the fraction, which f32 holds exactly.
            let magnitude = fraction as f32 * (1.0 / 16_777_216.0);
            f32::from_bits(sign | magnitude.to_bits())
        }
        (0x1f, _) => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

/// A piece of metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A whole number of a signed type.
    Signed(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A text; what is not UTF-8 in it was replaced.
    Text(String),
    /// Several.
    Array(Vec<Value>),
}

impl Value {
    /// As a whole number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// As a number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Float(value) => Some(value),
            _ => None,
        }
    }

    /// As yes or no.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// As a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            _ => None,
        }
    }

    /// As several.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }
}

/// Where a tensor lies.
#[derive(Debug)]
struct Place {
    /// Fastest dimension first, as the file has it.
    dimensions: Vec<u64>,
    format: u32,
    offset: u64,
}

/// An open file whose metadata was read.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    file: Mutex<File>,
    length: u64,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Place>,
    /// Where the tensors begin.
    data: u64,
}

impl Gguf {
    /// Opens a file and reads its metadata and where its tensors lie.
    ///
    /// # Errors
    /// When it cannot be read, is of another format or version, or damaged.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let io = |error| GgufError::Io { path: path.to_owned(), error };
        let file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut source = Source { path, reader: BufReader::new(&file), position: 0, length };
        let magic = source.bytes::<4>("its first bytes")?;
        if &magic != b"GGUF" {
            return Err(GgufError::Magic { path: path.to_owned(), found: magic });
        }
        let version = source.u32("its version")?;
        if version != 3 {
            return Err(GgufError::Version { path: path.to_owned(), found: version });
        }
        let tensor_count = source.u64("the number of tensors")?;
        let metadata_count = source.u64("the number of metadata")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..metadata_count {
            let key = source.text("the name of a piece of metadata")?;
            let kind = source.u32("a type of metadata")?;
            let value = source.value(kind, 0)?;
            metadata.insert(key, value);
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let name = source.text("the name of a tensor")?;
            let count = source.u32("a number of dimensions")?;
            if count > MAX_DIMENSIONS {
                return Err(source.damaged(format!("tensor {name} has {count} dimensions")));
            }
            let dimensions =
                (0..count).map(|_| source.u64("a dimension")).collect::<Result<Vec<_>, _>>()?;
            let format = source.u32("the type of a tensor")?;
            let offset = source.u64("the place of a tensor")?;
            tensors.insert(name, Place { dimensions, format, offset });
        }
        let alignment =
            metadata.get("general.alignment").and_then(Value::as_u64).unwrap_or(32).max(1);
        let Some(data) = source.position.checked_next_multiple_of(alignment) else {
            return Err(source.damaged(format!("tensors cannot lie at multiples of {alignment}")));
        };
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), length, metadata, tensors, data })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn sha256(&self) -> Result<String, GgufError> {
        let io = |error| GgufError::Io { path: self.path.clone(), error };
        let mut file = File::open(&self.path).map_err(io)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = file.read(&mut buffer).map_err(io)?;
            if count == 0 {
                return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
            }
            hash.update(&buffer[..count]);
        }
    }

    /// A piece of metadata.
    pub fn metadata(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// Names of the tensors.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// A tensor's shape, slowest dimension first, and its numbers in that order.
    ///
    /// # Errors
    /// When it is not there, of a type that is not read, or damaged.
    pub fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), GgufError> {
        let place = self.tensors.get(name).ok_or_else(|| GgufError::Missing {
            path: self.path.clone(),
            what: format!("tensor {name}"),
            remedy: "models of the architecture \"llama\" have it",
        })?;
        let format = Format::from_number(place.format).ok_or_else(|| GgufError::Type {
            path: self.path.clone(),
            tensor: name.to_owned(),
            found: type_name(place.format),
        })?;
        let start = self.data.saturating_add(place.offset);
        let damaged = |what: String| GgufError::Damaged {
            path: self.path.clone(),
            position: start,
            what: format!("tensor {name} {what}"),
        };
        let (elements, bytes) = format.block();
        let row = place.dimensions.first().copied().unwrap_or(1);
        if row % elements as u64 != 0 {
            return Err(damaged(format!("has rows of {row}, no multiple of {elements}")));
        }
        let length = place
            .dimensions
            .iter()
            .try_fold(1, |product: u64, &dimension| product.checked_mul(dimension))
            .and_then(|count| (count / elements as u64).checked_mul(bytes as u64))
            .filter(|&length| start.checked_add(length).is_some_and(|end| end <= self.length))
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| damaged("reaches beyond the end of the file".to_owned()))?;
        let io = |error| GgufError::Io { path: self.path.clone(), error };
        let mut values = Vec::with_capacity(length / bytes * elements);
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(start)).map_err(io)?;
        // Piece by piece: tensors of embeddings are large.
        let mut piece = vec![0; (1 << 14) * bytes];
        let mut left = length;
        while left > 0 {
            let size = left.min(piece.len());
            file.read_exact(&mut piece[..size]).map_err(io)?;
            format.dequantise(&piece[..size], &mut values);
            left -= size;
        }
        // The length was computed from these, so they fit.
        let shape = place.dimensions.iter().rev().map(|&dimension| dimension as usize).collect();
        Ok((shape, values))
    }
}

/// Reads the header, and knows where it is.
struct Source<'a> {
    path: &'a Path,
    reader: BufReader<&'a File>,
    position: u64,
    length: u64,
}

impl Source<'_> {
    fn damaged(&self, what: String) -> GgufError {
        GgufError::Damaged { path: self.path.to_owned(), position: self.position, what }
    }

    fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<(), GgufError> {
        self.reader.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(format!("it ends before {what}")),
            _ => GgufError::Io { path: self.path.to_owned(), error },
        })?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    /// A number of things that take a byte or more each.
    fn count(&mut self, what: &str) -> Result<usize, GgufError> {
        let count = self.u64(what)?;
        if count > self.length.saturating_sub(self.position) {
            return Err(self.damaged(format!("{what} is {count}, more than is left of the file")));
        }
        // A file that is not longer than memory is what remains.
        usize::try_from(count).map_err(|_| self.damaged(format!("{what} is {count}")))
    }

    fn text(&mut self, what: &str) -> Result<String, GgufError> {
        let mut bytes = vec![0; self.count("the length of a text")?];
        self.fill(&mut bytes, what)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, GgufError> {
        let what = "a piece of metadata";
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.bytes(what)?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.bytes(what)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.bytes(what)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.bytes(what)?).into()),
            4 => Value::Unsigned(self.u32(what)?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.bytes(what)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes(what)?).into()),
            7 => Value::Bool(self.bytes::<1>(what)? != [0]),
            8 => Value::Text(self.text(what)?),
            9 if depth < MAX_DEPTH => {
                let kind = self.u32("a type of metadata")?;
                let count = self.count("the length of an array")?;
                // Not reserved: a value takes more memory than the byte it may take in the file.
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(kind, depth + 1)?);
                }
                Value::Array(values)
            }
            9 => return Err(self.damaged(format!("arrays are nested deeper than {MAX_DEPTH}"))),
            10 => Value::Unsigned(self.u64(what)?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes(what)?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes(what)?)),
            _ => return Err(self.damaged(format!("metadata have no type {kind}"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    const BLOCKS: &[u8] = include_bytes!("../tests/fixtures/blocks.gguf");

    fn open(bytes: &[u8], name: &str) -> Result<Gguf, GgufError> {
        let path = std::env::temp_dir().join(format!("ceteris-gguf-{}-{name}", std::process::id()));
        File::create(&path).unwrap().write_all(bytes).unwrap();
        let opened = Gguf::open(&path);
        std::fs::remove_file(&path).unwrap();
        opened
    }

    #[test]
    fn halves_are_exact() {
        // IEEE 754: smallest subnormal, largest subnormal, smallest normal, one third, largest, −2.
        let known = [
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0xc000, -2.0),
            (0x7c00, f32::INFINITY),
        ];
        for (half, value) in known {
            assert_eq!(half_to_f32(half).to_bits(), f32::to_bits(value), "{half:04x}");
        }
        assert_eq!(half_to_f32(0x8000).to_bits(), (-0.0f32).to_bits());
        assert!(half_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn metadata_are_read() {
        let gguf = open(BLOCKS, "metadata").unwrap();
        assert_eq!(gguf.metadata("general.architecture"), Some(&Value::Text("llama".to_owned())));
        assert_eq!(gguf.metadata("small").unwrap().as_u64(), Some(7));
        assert_eq!(gguf.metadata("fraction").unwrap().as_f64(), Some(0.5));
        assert_eq!(gguf.metadata("negative"), Some(&Value::Signed(-3)));
        assert_eq!(gguf.metadata("yes").unwrap().as_bool(), Some(true));
        assert_eq!(gguf.metadata("text").unwrap().as_str(), Some("naïve"));
        let list = gguf.metadata("list").unwrap().as_array().unwrap();
        assert_eq!(list, [Value::Text("a".to_owned()), Value::Text("b".to_owned())]);
        assert_eq!(gguf.metadata("none"), None);
    }

    #[test]
    fn errors_say_what_to_do() {
        let mut other = BLOCKS.to_vec();
        other[0] = b'X';
        let message = open(&other, "magic").unwrap_err().to_string();
        assert!(
            message.contains("is no GGUF file") && message.contains("convert_hf_to_gguf.py"),
            "{message}"
        );
        let mut older = BLOCKS.to_vec();
        older[4] = 2;
        let message = open(&older, "version").unwrap_err().to_string();
        assert!(message.contains("version 2") && message.contains("only version 3"), "{message}");
        let message = open(&BLOCKS[..100], "short").unwrap_err().to_string();
        assert!(
            message.contains("is damaged at byte") && message.contains("download it again"),
            "{message}"
        );
        let gguf = open(BLOCKS, "type").unwrap();
        let message = gguf.tensor("BF16").unwrap_err().to_string();
        assert!(
            message.contains("tensor BF16 of") && message.contains("llama-quantize"),
            "{message}"
        );
        let message = gguf.tensor("nothing").unwrap_err().to_string();
        assert!(message.contains("has no tensor nothing"), "{message}");
        // The last tensor's end is missing.
        let gguf = open(&BLOCKS[..BLOCKS.len() - 64], "end").unwrap();
        let message =
            gguf.tensor("BF16").and_then(|_| gguf.tensor("Q8_0")).unwrap_err().to_string();
        assert!(!message.is_empty());
    }

    proptest! {
        // Whatever happened to a file, reading it ends, with tensors or with an error.
        #[test]
        fn damaged_files_do_no_harm(
            changes in prop::collection::vec((0..BLOCKS.len(), any::<u8>()), 0..12),
            words in prop::collection::vec((0..BLOCKS.len() / 8, prop::sample::select(vec![u64::MAX, 1 << 63, 1 << 40, 0])), 0..2),
            length in 0..=BLOCKS.len(),
            whole in any::<bool>(),
        ) {
            let mut bytes = BLOCKS.to_vec();
            for (place, byte) in changes {
                bytes[place] = byte;
            }
            for (place, word) in words {
                bytes[place * 8..place * 8 + 8].copy_from_slice(&word.to_le_bytes());
            }
            if !whole {
                bytes.truncate(length);
            }
            if let Ok(gguf) = open(&bytes, "damaged") {
                let names: Vec<String> = gguf.tensor_names().map(str::to_owned).collect();
                for name in names {
                    if let Ok((shape, values)) = gguf.tensor(&name) {
                        prop_assert_eq!(shape.iter().product::<usize>(), values.len());
                    }
                }
            }
        }
    }
}
