//! Line charts as SVG: nothing but numbers and names of ours goes in, and names are escaped all the same.

use std::fmt::Write as _;

use super::text::{escaped, number};

/// Size of a chart, in SVG units.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 210.0;
/// Room for the numbers of both axes.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;
/// About so many numbers stand on an axis.
const TICKS: f64 = 5.0;
/// The least range of a vertical axis, as a part of the largest number: a chart does not make much of little.
const LEAST_RANGE: f64 = 0.05;
/// More points than this are more than a line has pixels: means of neighbours are drawn in their place.
const MOST_POINTS: usize = 400;
/// Most points that are marked one by one, with their values.
const MOST_MARKS: usize = 60;

/// A line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// Whether each point was measured on its own, and is marked.
    pub(super) marked: bool,
}

/// What a horizontal axis counts.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Axis {
    /// From the smallest to the largest.
    Linear,
    /// From zero to the last step of the run, the same for all its charts.
    Steps(f64),
    /// Each doubling as wide as the others.
    Logarithmic,
}

/// The chart of `series`, under `title`; empty where there is no point. `across` names what the points stand at.
pub(super) fn lines(title: &str, across: &str, axis: Axis, series: &[Series]) -> String {
    let finite = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite();
    let all: Vec<(f64, f64)> = series.iter().flat_map(|one| &one.points).filter(finite).copied().collect();
    let Some(mut frame) = Frame::around(&all, axis) else { return String::new() };
    if let Axis::Steps(last) = axis {
        frame.x = (0.0, last.max(1.0));
    }
    let mut out = opened(title);
    frame.axes(&mut out, across);
    for (index, one) in series.iter().enumerate() {
        let points: Vec<(f64, f64)> = one.points.iter().filter(finite).copied().collect();
        let drawn = thinned(&points);
        let path: Vec<String> = drawn.iter().map(|&point| frame.placed(point)).collect();
        let class = index % 3;
        // Writing to a string cannot fail.
        let _ = write!(out, "<polyline class=\"line l{class}\" points=\"{}\"/>", path.join(" "));
        if one.marked && points.len() <= MOST_MARKS {
            for &(x, y) in &points {
                let (left, top) = frame.place((x, y));
                let said = escaped(&format!("{}: {} at {across} {}", one.name, number(y), number(x)));
                let _ = write!(
                    out,
                    "<circle class=\"mark m{class}\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"3.5\"><title>{said}</title></circle>"
                );
            }
        }
    }
    out + "</svg>"
}

/// How often answers of each confidence are right, beside the line on which the two are equal. A bin is its confidence,
/// the part of its cases that is right, and their number.
pub(super) fn reliability(title: &str, bins: &[(f64, f64, u64)]) -> String {
    let Some(frame) = Frame::around(&[(0.0, 0.0), (1.0, 1.0)], Axis::Linear) else { return String::new() };
    let most = bins.iter().map(|bin| bin.2).max().unwrap_or(1).max(1) as f64;
    let mut out = opened(title);
    frame.axes(&mut out, "confidence");
    let diagonal = [frame.placed((0.0, 0.0)), frame.placed((1.0, 1.0))].join(" ");
    let _ = write!(out, "<polyline class=\"even\" points=\"{diagonal}\"/>");
    for &(confidence, accuracy, cases) in bins.iter().filter(|bin| bin.2 > 0) {
        let (left, top) = frame.place((confidence, accuracy));
        // The area, not the radius, is the number of cases.
        let radius = 3.0 + 9.0 * (cases as f64 / most).sqrt();
        let _ = write!(
            out,
            "<circle class=\"bin\" cx=\"{left:.1}\" cy=\"{top:.1}\" r=\"{radius:.1}\"><title>{cases} cases: confidence \
            {}, right {}</title></circle>",
            number(confidence),
            number(accuracy)
        );
    }
    out + "</svg>"
}

fn opened(title: &str) -> String {
    let title = escaped(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    )
}

/// Where numbers lie in a chart.
struct Frame {
    axis: Axis,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn around(points: &[(f64, f64)], axis: Axis) -> Option<Self> {
        let range = |of: &dyn Fn(&(f64, f64)) -> f64| {
            let values = points.iter().map(of);
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
        };
        let (x, y) = (range(&|point| point.0), range(&|point| point.1));
        if points.is_empty() || (axis == Axis::Logarithmic && x.0 <= 0.0) {
            return None;
        }
        // What hardly moves lies in the middle, and does not fill the chart.
        let least = LEAST_RANGE * y.0.abs().max(y.1.abs()).max(1e-9);
        let missing = 0.5 * (least - (y.1 - y.0)).max(0.0);
        let y = (y.0 - missing, y.1 + missing);
        // Above and below is a little room, but zero stays at the foot of what is never below it.
        let room = 0.04 * (y.1 - y.0);
        let foot = if y.0 >= 0.0 { (y.0 - room).max(0.0) } else { y.0 - room };
        let x = if x.0 == x.1 { (x.0 - 0.5 * x.0.abs().max(1.0), x.1 + 0.5 * x.1.abs().max(1.0)) } else { x };
        Some(Self { axis, x, y: (foot, y.1 + room) })
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        let across = match self.axis {
            Axis::Linear | Axis::Steps(_) => part(x, self.x),
            Axis::Logarithmic => part(x.ln(), (self.x.0.ln(), self.x.1.ln())),
        };
        let left = LEFT + across * (WIDTH - LEFT - RIGHT);
        let top = HEIGHT - BOTTOM - part(y, self.y) * (HEIGHT - TOP - BOTTOM);
        (left, top)
    }

    fn placed(&self, point: (f64, f64)) -> String {
        let (left, top) = self.place(point);
        format!("{left:.1},{top:.1}")
    }

    fn axes(&self, out: &mut String, across: &str) {
        let (marks, step) = ticks(self.y);
        for tick in marks {
            let (left, top) = self.place((self.x.0, tick));
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{left:.1}\" y1=\"{top:.1}\" x2=\"{:.1}\" y2=\"{top:.1}\"/><text \
                x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                left - 6.0,
                top + 4.0,
                shown(tick, step)
            );
        }
        let (marks, step) = match self.axis {
            Axis::Linear | Axis::Steps(_) => ticks(self.x),
            Axis::Logarithmic => {
                let doublings = (self.x.1 / self.x.0).log2().ceil() as u32;
                ((0..=doublings).map(|n| self.x.0 * f64::from(1 << n.min(30))).collect(), 1.0)
            }
        };
        for tick in marks.into_iter().filter(|tick| *tick <= self.x.1 * (1.0 + 1e-9)) {
            let (left, _) = self.place((tick, self.y.0));
            let _ = write!(
                out,
                "<text x=\"{left:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM + 15.0,
                shown(tick, step)
            );
        }
        let _ = write!(
            out,
            "<text class=\"across\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 3.0,
            escaped(across)
        );
    }
}

/// Round numbers within a range, and the step between them: 1, 2 or 5 times a power of ten.
fn ticks((low, high): (f64, f64)) -> (Vec<f64>, f64) {
    let rough = (high - low) / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    ((first..=last).map(|index| index as f64 * step).collect(), step)
}

/// A number of an axis, with the digits that its step has.
fn shown(value: f64, step: f64) -> String {
    // The step decides, so that all numbers of an axis are written alike.
    if value != 0.0 && !(1e-3..1e6).contains(&step) {
        return format!("{value:.1e}");
    }
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// At most [`MOST_POINTS`] points: means of as many neighbours each.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |group: &[(f64, f64)]| {
        let sum = group.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / group.len() as f64, sum.1 / group.len() as f64)
    };
    points.chunks(group).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks((0.0, 26.0)).0, [0.0, 10.0, 20.0]);
        assert_eq!(ticks((1.53, 3.04)).0, [2.0, 2.5, 3.0]);
        assert_eq!(ticks((-1.0, 1.0)).0, [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!([shown(2.5, 0.5), shown(20.0, 10.0), shown(0.001, 0.0002)], ["2.5", "20", "1.0e-3"]);
    }

    #[test]
    fn the_ends_of_a_line_lie_at_the_ends_of_the_axis() {
        let series = Series { name: "a".to_owned(), points: vec![(0.0, 1.0), (10.0, 3.0)], marked: true };
        let svg = lines("t <b>", "step", Axis::Linear, &[series]);
        assert!(svg.contains("aria-label=\"t &lt;b&gt;\"") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("points=\"62.0,"), "{svg}");
        assert!(svg.contains("546.0,"), "{svg}");
        assert!(svg.contains("<title>a: 3 at step 10</title>"), "{svg}");
    }

    #[test]
    fn what_is_no_number_is_left_out_and_nothing_is_no_chart() {
        let of = |points: Vec<(f64, f64)>| {
            lines("t", "step", Axis::Linear, &[Series { name: "a".to_owned(), points, marked: false }])
        };
        assert_eq!(of(vec![]), "");
        assert_eq!(of(vec![(1.0, f64::NAN)]), "");
        let flat = of(vec![(1.0, 0.0), (2.0, 0.0), (3.0, f64::INFINITY)]);
        assert!(!flat.contains("NaN") && !flat.contains("inf"), "{flat}");
        let one = of(vec![(5.0, 2.0)]);
        assert!(!one.contains("NaN"), "{one}");
    }

    #[test]
    fn many_points_become_means() {
        let points: Vec<(f64, f64)> = (0..100_000).map(|x| (f64::from(x), 1.0)).collect();
        let drawn = thinned(&points);
        assert!(drawn.len() <= MOST_POINTS && drawn.iter().all(|point| point.1 == 1.0));
        assert_eq!(thinned(&points[..3]), points[..3]);
    }
}
