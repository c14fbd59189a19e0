//! Where trained tensors stand on a GPU: padded so that kernels read them sixteen bytes at a time.

use std::ops::Range;

use crate::ParameterEntry;

/// Rows and columns are padded to multiples of this: eight bf16 are sixteen bytes.
const MULTIPLE: usize = 8;

/// One tensor on the host and on the device.
#[derive(Clone, Debug)]
struct Tensor {
    host: Range<usize>,
    columns: usize,
    device: Range<usize>,
    wide_columns: usize,
}

/// Trained tensors in the host's order, each matrix with rows and columns of zeros behind its own, which have gradients of
/// zero and stay.
#[derive(Clone, Debug, Default)]
pub struct PaddedLayout {
    tensors: Vec<Tensor>,
    host_len: usize,
    device_len: usize,
}

impl PaddedLayout {
    /// The layout of these tensors, which are the host's flat vector in order.
    #[must_use]
    pub fn new(entries: &[ParameterEntry]) -> Self {
        let mut device_len = 0;
        let tensor = |entry: &ParameterEntry| {
            let columns = entry.shape.last().copied().unwrap_or(1).max(1);
            let wide_columns = columns.next_multiple_of(MULTIPLE);
            let start = device_len;
            device_len += (entry.range.len() / columns).next_multiple_of(MULTIPLE) * wide_columns;
            Tensor { host: entry.range.clone(), columns, device: start..device_len, wide_columns }
        };
        let tensors: Vec<Tensor> = entries.iter().map(tensor).collect();
        let host_len = tensors.last().map_or(0, |tensor| tensor.host.end);
        Self { tensors, host_len, device_len }
    }

    /// Numbers on the host.
    #[must_use]
    pub fn host_len(&self) -> usize {
        self.host_len
    }

    /// Numbers on the device.
    #[must_use]
    pub fn device_len(&self) -> usize {
        self.device_len
    }

    /// Where the tensor that begins at `start` on the host stands on the device.
    ///
    /// # Panics
    /// If no tensor begins there.
    #[must_use]
    pub fn place(&self, start: usize) -> Range<usize> {
        let found = self.tensors.binary_search_by_key(&start, |tensor| tensor.host.start);
        self.tensors[found.expect("a tensor of the parameters")].device.clone()
    }

    /// Where a run of whole tensors on the host stands on the device.
    #[must_use]
    pub fn run(&self, host: &Range<usize>) -> Range<usize> {
        let first = self.tensors.partition_point(|tensor| tensor.host.start < host.start);
        let end = self.tensors.partition_point(|tensor| tensor.host.end <= host.end);
        match self.tensors.get(first..end) {
            Some([first, .., last]) => first.device.start..last.device.end,
            Some([only]) => only.device.clone(),
            _ => 0..0,
        }
    }

    /// The host's numbers as they stand on the device.
    ///
    /// # Panics
    /// If there are other than as many as the tensors have.
    #[must_use]
    pub fn padded(&self, values: &[f32]) -> Vec<f32> {
        assert_eq!(values.len(), self.host_len, "parameters: length");
        let mut padded = vec![0.0; self.device_len];
        for tensor in &self.tensors {
            let rows = values[tensor.host.clone()].chunks_exact(tensor.columns);
            let places = padded[tensor.device.clone()].chunks_exact_mut(tensor.wide_columns);
            rows.zip(places).for_each(|(row, place)| place[..row.len()].copy_from_slice(row));
        }
        padded
    }

    /// The device's numbers as they stand on the host.
    ///
    /// # Panics
    /// If there are other than as many as the tensors have with their padding, or `values` has another length.
    pub fn unpad(&self, padded: &[f32], values: &mut [f32]) {
        assert!(values.len() == self.host_len && padded.len() == self.device_len, "parameters: length");
        for tensor in &self.tensors {
            let rows = values[tensor.host.clone()].chunks_exact_mut(tensor.columns);
            let places = padded[tensor.device.clone()].chunks_exact(tensor.wide_columns);
            rows.zip(places).for_each(|(row, place)| row.copy_from_slice(&place[..row.len()]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, shape: &[usize], start: usize) -> ParameterEntry {
        let range = start..start + shape.iter().product::<usize>();
        ParameterEntry { name: name.to_owned(), shape: shape.to_vec(), range }
    }

    #[test]
    fn what_goes_to_the_device_comes_back_and_zeros_stand_between() {
        let entries = [entry("a", &[3, 16], 0), entry("b", &[8, 3], 48), entry("c", &[5], 72)];
        let layout = PaddedLayout::new(&entries);
        assert_eq!((layout.host_len(), layout.device_len()), (77, 128 + 64 + 64));
        let values: Vec<f32> = (1..=77).map(|value| value as f32).collect();
        let padded = layout.padded(&values);
        assert_eq!(padded.iter().filter(|value| **value != 0.0).count(), 77);
        assert_eq!((padded[128], padded[136], padded[131]), (49.0, 52.0, 0.0));
        let mut back = vec![0.0; 77];
        layout.unpad(&padded, &mut back);
        assert_eq!(back, values);
        assert_eq!(layout.place(48), 128..192);
        assert_eq!(
            (layout.run(&(0..77)), layout.run(&(48..72)), layout.run(&(72..72))),
            (0..256, 128..192, 0..0)
        );
    }
}
