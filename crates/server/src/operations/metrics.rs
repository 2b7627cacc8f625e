//! What the server counts, and how a Prometheus server reads it (text exposition format 0.0.4). All metrics stand in one
//! table, [`METRICS`], which is also their documentation; a metric that is not in it cannot be counted.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that the server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Metric {
    /// Check-ins that were answered.
    CheckIns,
    /// Check-ins that were refused.
    Refusals,
    /// Check-ins that are being held.
    Held,
    /// Documents taken from agents.
    Documents,
    /// Bytes of those documents, as sent.
    DocumentBytes,
    /// Hosts enrolled.
    Enrolments,
    /// Requests turned away because there were too many.
    Busy,
    /// Open connections.
    Connections,
    /// TLS handshakes that were completed.
    Handshakes,
    /// Requests to the API.
    ApiRequests,
    /// Requests to the API that failed because of the server.
    ApiFailures,
    /// Syncs that ended well.
    Syncs,
    /// Syncs that failed.
    SyncFailures,
    /// Hosts that were assessed.
    HostsAssessed,
    /// Seconds since the epoch of the last assessment that ended well.
    LastAssessment,
    /// Seconds since the epoch of the last backup that was verified.
    LastBackup,
    /// Free bytes of the file system that holds the data.
    DiskFree,
    /// Seconds until the first certificate of the server's own expires.
    CertificateSeconds,
}

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, and begins at nought when the server starts.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One line of the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Which.
    pub metric: Metric,
    /// Its name, by Prometheus' conventions: the unit last, `_total` for counters.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What it counts.
    pub help: &'static str,
}

const fn described(metric: Metric, name: &'static str, kind: Kind, help: &'static str) -> Described {
    Described {
        metric,
        name,
        kind,
        help,
    }
}

/// How many metrics there are.
const COUNT: usize = 18;

/// All metrics, in the order of [`Metric`].
pub const METRICS: [Described; COUNT] = [
    described(
        Metric::CheckIns,
        "patchyard_check_ins_total",
        Kind::Counter,
        "Check-ins that were answered.",
    ),
    described(
        Metric::Refusals,
        "patchyard_refusals_total",
        Kind::Counter,
        "Messages of agents that were refused.",
    ),
    described(
        Metric::Held,
        "patchyard_check_ins_held",
        Kind::Gauge,
        "Check-ins that are being held.",
    ),
    described(
        Metric::Documents,
        "patchyard_documents_total",
        Kind::Counter,
        "Documents taken from agents.",
    ),
    described(
        Metric::DocumentBytes,
        "patchyard_document_bytes_total",
        Kind::Counter,
        "Bytes of documents taken from agents.",
    ),
    described(
        Metric::Enrolments,
        "patchyard_enrolments_total",
        Kind::Counter,
        "Hosts that were enrolled.",
    ),
    described(
        Metric::Busy,
        "patchyard_busy_total",
        Kind::Counter,
        "Requests turned away because there were too many.",
    ),
    described(
        Metric::Connections,
        "patchyard_connections",
        Kind::Gauge,
        "Open connections.",
    ),
    described(
        Metric::Handshakes,
        "patchyard_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes that were completed.",
    ),
    described(
        Metric::ApiRequests,
        "patchyard_api_requests_total",
        Kind::Counter,
        "Requests to the API.",
    ),
    described(
        Metric::ApiFailures,
        "patchyard_api_failures_total",
        Kind::Counter,
        "Requests to the API that failed because of the server.",
    ),
    described(
        Metric::Syncs,
        "patchyard_syncs_total",
        Kind::Counter,
        "Syncs of sources that ended well.",
    ),
    described(
        Metric::SyncFailures,
        "patchyard_sync_failures_total",
        Kind::Counter,
        "Syncs of sources that failed.",
    ),
    described(
        Metric::HostsAssessed,
        "patchyard_hosts_assessed_total",
        Kind::Counter,
        "Hosts that were assessed.",
    ),
    described(
        Metric::LastAssessment,
        "patchyard_last_assessment_timestamp_seconds",
        Kind::Gauge,
        "When the last assessment ended well.",
    ),
    described(
        Metric::LastBackup,
        "patchyard_last_backup_timestamp_seconds",
        Kind::Gauge,
        "When the last backup was made and verified.",
    ),
    described(
        Metric::DiskFree,
        "patchyard_disk_free_bytes",
        Kind::Gauge,
        "Free bytes of the file system that holds the data.",
    ),
    described(
        Metric::CertificateSeconds,
        "patchyard_certificate_expiry_seconds",
        Kind::Gauge,
        "Seconds until the first of the server's certificates expires.",
    ),
];

/// The numbers.
#[derive(Debug, Default)]
pub struct Metrics {
    values: [AtomicU64; COUNT],
}

impl Metrics {
    /// One more.
    pub fn count(&self, metric: Metric) {
        self.add(metric, 1);
    }

    /// So many more.
    pub fn add(&self, metric: Metric, number: u64) {
        // Each number stands for itself: no order between them is promised.
        self.values[metric as usize].fetch_add(number, Ordering::Relaxed);
    }

    /// One fewer, of a gauge.
    pub fn less(&self, metric: Metric) {
        self.values[metric as usize].fetch_sub(1, Ordering::Relaxed);
    }

    /// One more of a gauge, for as long as the value lives.
    pub fn hold(self: &Arc<Self>, metric: Metric) -> Counted {
        self.count(metric);
        Counted {
            metrics: Arc::clone(self),
            metric,
        }
    }

    /// Exactly so many, of a gauge.
    pub fn set(&self, metric: Metric, number: u64) {
        self.values[metric as usize].store(number, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn value(&self, metric: Metric) -> u64 {
        self.values[metric as usize].load(Ordering::Relaxed)
    }

    /// The page that a Prometheus server reads.
    pub fn exposition(&self) -> String {
        let mut page = String::with_capacity(METRICS.len() * 160);
        for described in &METRICS {
            let kind = match described.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            let (name, value) = (described.name, self.value(described.metric));
            let _ = writeln!(
                page,
                "# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}",
                described.help
            );
        }
        page
    }
}

/// One of those that a gauge counts. Dropping it makes it one fewer.
#[derive(Debug)]
pub struct Counted {
    metrics: Arc<Metrics>,
    metric: Metric,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.less(self.metric);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_in_its_place_by_prometheus_conventions() {
        for (place, described) in METRICS.iter().enumerate() {
            assert_eq!(described.metric as usize, place, "{}", described.name);
            let is_total = described.name.ends_with("_total");
            assert_eq!(is_total, described.kind == Kind::Counter, "{}", described.name);
            assert!(described.help.ends_with('.'));
        }
        assert_eq!(METRICS.len(), Metric::CertificateSeconds as usize + 1);
    }

    #[test]
    fn the_page_has_every_metric_with_its_value() {
        let metrics = Metrics::default();
        metrics.count(Metric::CheckIns);
        metrics.add(Metric::CheckIns, 2);
        let metrics = Arc::new(metrics);
        drop(metrics.hold(Metric::Connections));
        let _open = metrics.hold(Metric::Connections);
        let page = metrics.exposition();
        assert!(
            page.contains("\n# TYPE patchyard_check_ins_total counter\npatchyard_check_ins_total 3\n"),
            "{page}"
        );
        assert!(page.contains("\npatchyard_connections 1\n"), "{page}");
        assert_eq!(page.lines().count(), METRICS.len() * 3);
    }

    #[test]
    fn the_documentation_lists_every_metric() {
        let page = include_str!("../../../../docs/metrics.md");
        for described in &METRICS {
            assert!(
                page.contains(&format!("| `{}` |", described.name)),
                "{}",
                described.name
            );
        }
    }
}
