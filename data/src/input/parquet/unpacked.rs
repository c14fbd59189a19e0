//! What a page unpacks to, counted before the library unpacks it: of gzip and LZ4 frames it holds all that comes out, and compares it with
//! what the header says afterwards; a page of 1 MB may hold 1 GB. The others it unpacks into as much memory as the header says.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use parquet::basic::Compression;

/// Whether `packed` comes to at most `most` bytes as the library unpacks it. What cannot be unpacked is within: the library says so.
pub(super) fn is_within(packed: &[u8], compression: Compression, most: u64) -> bool {
    match compression {
        Compression::GZIP(_) => bytes_of(MultiGzDecoder::new(packed), most) <= most,
        // Its own framing first, which is bounded; then that of LZ4 itself, which is not.
        Compression::LZ4 => bytes_of(FrameDecoder::new(packed), most) <= most,
        _ => true,
    }
}

/// Bytes that come out before the end or a fault; one more than `most` where they are more.
fn bytes_of(unpacked: impl Read, most: u64) -> u64 {
    let mut unpacked = unpacked.take(most.saturating_add(1));
    // A fault ends it: what came out before counts, as the library holds it until then.
    let _ = io::copy(&mut unpacked, &mut io::sink());
    most.saturating_add(1) - unpacked.limit()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use lz4_flex::frame::FrameEncoder;
    use parquet::basic::GzipLevel;

    use super::*;

    #[test]
    fn what_comes_out_is_counted() {
        let text = vec![b'x'; 100_000];
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&text).expect("packed");
        let gzip = gzip.finish().expect("packed");
        let mut lz4 = FrameEncoder::new(Vec::new());
        lz4.write_all(&text).expect("packed");
        let lz4 = lz4.finish().expect("packed");
        for (packed, compression) in
            [(&gzip, Compression::GZIP(GzipLevel::default())), (&lz4, Compression::LZ4)]
        {
            assert!(packed.len() < 1000);
            assert!(is_within(packed, compression, 100_000), "{compression}");
            assert!(!is_within(packed, compression, 99_999), "{compression}");
            assert!(is_within(&packed[1..], compression, 0), "{compression}: none of its own");
        }
        // Members of gzip count together, and a fault behind them changes nothing.
        let twice = [gzip.as_slice(), &gzip, b"?"].concat();
        assert!(!is_within(&twice, Compression::GZIP(GzipLevel::default()), 199_999));
        assert!(is_within(&twice, Compression::GZIP(GzipLevel::default()), 200_000));
        assert!(is_within(&gzip, Compression::SNAPPY, 0), "unpacked within what the header says");
    }
}
