//! Figures that a program prints, one JSON object a line (`name`, `value`, `unit`), and what was promised of each.

use super::measure::Figures;
use super::{Reach, Row, Side};
use anyhow::{Context, Result};

/// What is promised of one figure.
pub struct Promise {
    /// How the figure's name begins.
    pub figure: &'static str,
    /// What it is in the table.
    pub what: &'static str,
    /// What was to be reached; nothing for a figure that is only told.
    pub reach: Option<Reach>,
}

/// A figure as it was printed.
pub struct Figure {
    name: String,
    value: f64,
    unit: String,
}

/// All figures that a program printed.
pub fn figures(printed: &str) -> Result<Vec<Figure>> {
    let lines = printed.lines();
    lines
        .map(|line| read(line).with_context(|| format!("read a figure: {line}")))
        .collect()
}

fn read(line: &str) -> Option<Figure> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    Some(Figure {
        name: line.get("name")?.as_str()?.to_owned(),
        value: line.get("value")?.as_f64()?,
        unit: line.get("unit")?.as_str()?.to_owned(),
    })
}

/// The row of a promise: of several figures of one name the median counts.
pub fn row(who: &str, promise: &Promise, figures: &[Figure]) -> Result<Row> {
    let mut found: Vec<&Figure> = figures
        .iter()
        .filter(|figure| figure.name.starts_with(promise.figure))
        .collect();
    found.sort_by(|a, b| a.value.total_cmp(&b.value));
    let figure = found
        .get(found.len() / 2)
        .with_context(|| format!("no figure of {} was printed", promise.figure))?;
    let wall = match figure.unit.as_str() {
        "per s" => 1.0 / figure.value,
        "ms" => figure.value / 1e3,
        "s" => figure.value,
        _ => 0.0,
    };
    let many = if found.len() > 1 {
        format!(", median of {}", found.len())
    } else {
        String::new()
    };
    Ok(Row {
        what: promise.what.to_owned(),
        ours: Side {
            name: who.to_owned(),
            figures: Figures {
                wall,
                cpu: None,
                peak_mib: (figure.unit == "MiB").then_some(figure.value),
            },
        },
        peer: None,
        reach: promise.reach.into_iter().collect(),
        remark: format!("{}: {} {}{many}", figure.name, rounded(figure.value), figure.unit),
    })
}

fn rounded(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_meets_its_promise_from_the_promised_rate_on() {
        let promise = Promise {
            figure: "check-ins",
            what: "check-ins",
            reach: Some(Reach::PerSecond(6_000.0)),
        };
        let met = |values: &[f64]| {
            let lines = values.iter().map(|value| {
                format!("{{\"name\":\"check-ins, kept\",\"value\":{value},\"unit\":\"per s\"}}\n")
            });
            let figures = figures(&lines.collect::<String>()).expect("figures");
            let row = row("server", &promise, &figures).expect("it is there");
            row.reach[0].is_met(&row)
        };
        assert!(met(&[6_001.0]));
        assert!(!met(&[5_999.0]));
        assert!(met(&[6_001.0, 5_000.0, 7_000.0]), "the median counts");
        assert!(row("server", &promise, &[]).is_err());
        assert!(figures("no figure").is_err());
    }
}
