//! AdamW over one flat buffer with the norm on the device: the launchers of `cuda/adamw.cu`; the twin is
//! [`crate::adamw`].

use half::bf16;

use super::device::{Buffer, Device};
use super::error::Result;
use super::launch::Launch;
use super::view::{Span, SpanMut};
use crate::adamw::Update;

/// Threads of a block, and elements that one sums: `THREADS` and `CHUNK` of the source.
const THREADS: usize = 256;
const CHUNK: usize = 16_384;

/// The norm of the gradients and the factor that clipping makes of it, on the device.
pub struct Norm {
    partial: Buffer<f64>,
    /// `[norm, factor]`.
    state: Buffer<f64>,
}

impl Norm {
    /// Room for the norm of `count` gradients.
    ///
    /// # Errors
    /// If there is not as much memory.
    pub fn new(device: &Device, count: usize) -> Result<Self> {
        Ok(Self { partial: device.zeros(count.div_ceil(CHUNK))?, state: device.zeros(2)? })
    }

    /// Takes the norm of `gradients * scale`, and from it the factor on the gradients: `scale`, clipped where `most` is
    /// given as `torch.nn.utils.clip_grad_norm_` does.
    ///
    /// # Errors
    /// If a launch fails.
    ///
    /// # Panics
    /// If there are other than as many gradients as [`Self::new`] was told.
    pub fn take(
        &mut self,
        device: &Device,
        gradients: Span<'_, f32>,
        scale: f32,
        most: Option<f32>,
    ) -> Result<()> {
        let chunks = gradients.len().div_ceil(CHUNK);
        assert_eq!(chunks, self.partial.all().len(), "adamw: gradients");
        let squares = Launch::new(device, "adamw", "squares")
            .read(gradients)
            .long(gradients.len())
            .write(&self.partial.all_mut());
        // SAFETY: one partial sum a chunk, by the assertion.
        unsafe { squares.run(chunks, THREADS as u32, 0) }?;
        let clip = Launch::new(device, "adamw", "clip")
            .read(self.partial.all())
            .int(chunks)
            .float(scale)
            .float(most.unwrap_or(0.0))
            .write(&self.state.all_mut());
        // SAFETY: reads the partial sums, writes the two numbers of `state`.
        unsafe { clip.run(1, THREADS as u32, 0) }
    }

    /// The norm that was taken last, and the factor; waits for the device.
    ///
    /// # Errors
    /// If something launched before failed.
    pub fn read(&self) -> Result<(f64, f64)> {
        let state = self.state.to_vec()?;
        Ok((state[0], state[1]))
    }
}

/// The flat buffers of an optimiser, all of one length and aligned to 16 bytes.
#[derive(Debug)]
pub struct Flat<'a> {
    /// Read and written.
    pub parameters: SpanMut<'a, f32>,
    /// Read.
    pub gradients: Span<'a, f32>,
    /// First moments, read and written.
    pub first: SpanMut<'a, f32>,
    /// Second moments, read and written.
    pub second: SpanMut<'a, f32>,
    /// The parameters in bf16, for the products; written.
    pub shadow: Option<SpanMut<'a, bf16>>,
}

/// Updates parameters and both moments in place, by the factor that `norm` holds ([`Update::gradient_factor`] is not
/// read). Where the norm is not finite nothing changes.
///
/// # Errors
/// If the launch fails.
///
/// # Panics
/// If the lengths differ or a buffer is not aligned.
pub fn update(device: &Device, flat: Flat<'_>, norm: &Norm, with: &Update) -> Result<()> {
    let count = flat.parameters.len();
    assert!(
        flat.gradients.len() == count && flat.first.len() == count && flat.second.len() == count,
        "adamw: lengths"
    );
    assert!(flat.shadow.as_ref().is_none_or(|shadow| shadow.len() == count), "adamw: lengths");
    let shadow = flat.shadow.as_ref().map_or(0, |shadow| shadow.address);
    let addresses =
        [flat.parameters.address, flat.gradients.address, flat.first.address, flat.second.address, shadow];
    assert!(addresses.iter().all(|address| address.is_multiple_of(16)), "adamw: alignment");
    let exponent = i32::try_from(with.step).unwrap_or(i32::MAX);
    let (correction1, correction2) = (1.0 - with.beta1.powi(exponent), 1.0 - with.beta2.powi(exponent));
    let launch = Launch::new(device, "adamw", "update")
        .write(&flat.parameters)
        .read(flat.gradients)
        .write(&flat.first)
        .write(&flat.second)
        .write_if(flat.shadow.as_ref())
        .long(count)
        .read(norm.state.all())
        .float((1.0 - with.learning_rate * with.weight_decay) as f32)
        .float((with.learning_rate / correction1) as f32)
        .float(correction2.sqrt() as f32)
        .float((1.0 - with.beta1) as f32)
        .float(with.beta2 as f32)
        .float((1.0 - with.beta2) as f32)
        .float(with.epsilon as f32);
    // SAFETY: five buffers of `count` elements, those written borrowed alone.
    unsafe { launch.run(count.div_ceil(8 * THREADS), THREADS as u32, 0) }
}
