//! Processor, memory and nameplate, from `/proc`, `/sys` and DMI (`/sys/class/dmi/id`). In a container the nameplate is
//! its machine's and is left out.

use super::proc::head;
use crate::facts::fact;
use crate::tree::Tree;
use domain::host::hardware::{Hardware, Virtualisation};

/// What firmware says where its maker said nothing, in lower case.
const BLANKS: [&str; 10] = [
    "to be filled by o.e.m.",
    "default string",
    "not specified",
    "not applicable",
    "system manufacturer",
    "system product name",
    "system serial number",
    "none",
    "unknown",
    "0",
];

pub(super) fn read(tree: &Tree, virtualisation: &Virtualisation) -> Hardware {
    if !tree.is_live() {
        return Hardware::default();
    }
    let plate = |name: &str| match virtualisation.is_container() {
        true => None,
        false => nameplate(&head(tree, &format!("/sys/class/dmi/id/{name}"))?),
    };
    Hardware {
        cpu_model: head(tree, "/proc/cpuinfo").and_then(|text| cpu_model(&text)),
        cpu_count: head(tree, "/sys/devices/system/cpu/online").and_then(|text| cpu_count(&text)),
        memory_bytes: head(tree, "/proc/meminfo").and_then(|text| memory_bytes(&text)),
        vendor: plate("sys_vendor"),
        product: plate("product_name"),
        serial: plate("product_serial"),
    }
}

fn nameplate(text: &str) -> Option<String> {
    let text = fact(text)?;
    (!BLANKS.contains(&text.to_lowercase().as_str())).then_some(text)
}

/// `model name` on x86 and s390, `Model` or `Hardware` on small ARM boards.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let value = |wanted: &str| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == wanted).then(|| fact(value)).flatten()
        })
    };
    ["model name", "Model", "Hardware", "cpu"]
        .into_iter()
        .find_map(value)
}

/// The number of processors in a list such as `0-3,8` (sysfs's format).
fn cpu_count(list: &str) -> Option<u32> {
    list.trim().split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_counted_and_nonsense_counts_nothing() {
        assert_eq!(cpu_count("0-3,8\n"), Some(5));
        assert_eq!(cpu_count("0"), Some(1));
        for nonsense in ["", "3-0", "a-b", "0-4294967295"] {
            assert_eq!(cpu_count(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_nameplate_that_nobody_filled_in_is_none() {
        assert_eq!(nameplate("To Be Filled By O.E.M.\n"), None);
        assert_eq!(nameplate("PowerEdge R640\n").as_deref(), Some("PowerEdge R640"));
    }
}
