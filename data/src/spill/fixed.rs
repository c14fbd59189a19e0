//! Records of a fixed number of bytes.

/// A record that is ordered as a value and written as [`Fixed::BYTES`] bytes.
pub(crate) trait Fixed: Copy + Ord + Send + Sync {
    const BYTES: usize;

    /// Writes the record over the first `BYTES` bytes.
    fn put(self, bytes: &mut [u8]);

    /// The record that [`Fixed::put`] wrote.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! fixed_numbers {
    ($($number:ty),*) => {$(
        impl Fixed for $number {
            const BYTES: usize = size_of::<$number>();

            fn put(self, bytes: &mut [u8]) {
                bytes[..Self::BYTES].copy_from_slice(&self.to_le_bytes());
            }

            fn take(bytes: &[u8]) -> Self {
                let mut own = [0; Self::BYTES];
                own.copy_from_slice(&bytes[..Self::BYTES]);
                Self::from_le_bytes(own)
            }
        }
    )*};
}

fixed_numbers!(u32, u64, u128);

impl Fixed for () {
    const BYTES: usize = 0;

    fn put(self, _: &mut [u8]) {}

    fn take(_: &[u8]) -> Self {}
}

macro_rules! fixed_tuples {
    ($(($($letter:ident $field:tt),*)),*) => {$(
        impl<$($letter: Fixed),*> Fixed for ($($letter,)*) {
            const BYTES: usize = 0 $(+ $letter::BYTES)*;

            fn put(self, mut bytes: &mut [u8]) {
                $(
                    self.$field.put(bytes);
                    bytes = &mut bytes[$letter::BYTES..];
                )*
                let _ = bytes;
            }

            fn take(mut bytes: &[u8]) -> Self {
                ($({
                    let field = $letter::take(bytes);
                    bytes = &bytes[$letter::BYTES..];
                    let _ = bytes;
                    field
                },)*)
            }
        }
    )*};
}

fixed_tuples!((A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back() {
        type Row = (u64, u32, (), u128);
        let row: Row = (7 << 40, 9, (), 11 << 100);
        let mut bytes = [0; Row::BYTES];
        row.put(&mut bytes);
        assert_eq!(bytes.len(), 28);
        assert_eq!(Row::take(&bytes), row);
    }
}
