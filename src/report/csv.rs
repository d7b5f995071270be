//! Tables as CSV inside a link.

use polars::prelude::*;

/// A frame as a `data:` address of a CSV file.
pub(super) fn link(frame: &DataFrame) -> PolarsResult<String> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).finish(&mut frame.clone())?;
    let mut link = String::from("data:text/csv;charset=utf-8,");
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => link.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b',' | b'=' | b':' | b'/' => link.push(char::from(byte)),
            _ => link.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use polars::df;

    #[test]
    fn cells_survive_the_address() {
        let frame = df!("arm" => ["a=1,b=2"], "value" => [Some(1.5)]).unwrap();
        assert_eq!(
            super::link(&frame).unwrap(),
            "data:text/csv;charset=utf-8,arm,value%0A%22a=1,b=2%22,1.5%0A"
        );
    }
}
