//! Reads `/metrics`.

use std::collections::BTreeMap;

use reqwest::Client;

/// Samples by name and labels, added over processes.
pub(crate) type Samples = BTreeMap<String, f64>;

/// Reads the samples of all processes. One that does not answer adds nothing.
pub(crate) async fn read(http: &Client, urls: &[String]) -> Samples {
    let mut samples = Samples::new();
    for url in urls {
        let Ok(response) = http.get(format!("{url}/metrics")).send().await else { continue };
        add(&mut samples, &response.text().await.unwrap_or_default());
    }
    samples
}

fn add(samples: &mut Samples, text: &str) {
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        // A value follows the last blank; label values may have blanks as well.
        if let Some((name, value)) = line.rsplit_once(' ')
            && let Ok(value) = value.parse::<f64>()
        {
            *samples.entry(name.to_owned()).or_default() += value;
        }
    }
}

/// The sum of the samples that have the name and the labels of `wanted`: `name` or `name{label="value"}`.
pub(crate) fn sum(samples: &Samples, wanted: &str) -> f64 {
    let (name, labels) = split(wanted);
    let matches = |sample: &str| {
        let (its_name, its_labels) = split(sample);
        its_name == name && labels.iter().all(|label| its_labels.contains(label))
    };
    samples.iter().filter(|(sample, _)| matches(sample)).map(|(_, value)| value).sum()
}

/// Name and labels of a sample. Label values of the service have no commas.
fn split(sample: &str) -> (&str, Vec<&str>) {
    match sample.split_once('{') {
        Some((name, labels)) => {
            (name, labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect())
        }
        None => (sample, Vec::new()),
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "whole numbers")]
mod tests {
    use super::*;

    #[test]
    fn samples_are_added_over_processes_and_labels() {
        let mut samples = Samples::new();
        let text = "# HELP a b\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\na{x=\"2\"} 10\nb 1.5\nc NaN\n";
        add(&mut samples, text);
        add(&mut samples, "b 2\n");
        assert_eq!(sum(&samples, "a{x=\"1\"}"), 7.0);
        assert_eq!(sum(&samples, "a"), 17.0);
        assert_eq!(sum(&samples, "b"), 3.5);
        assert_eq!(sum(&samples, "none"), 0.0);
    }
}
