//! A package as an index lists it and as dpkg's status has it once installed: one description for both, so that the
//! relations by which apt recognises a build are equal unless a test makes them differ.

use super::deb::{self, Member};
use super::release::hexadecimal;

/// A binary package of a test.
#[derive(Clone, Debug)]
pub struct Package {
    name: String,
    version: String,
    architecture: String,
    source: Option<String>,
    multi_arch: Option<String>,
    essential: Essential,
    installed_size_kib: u32,
    relations: Vec<(&'static str, String)>,
    phased_percent: Option<u8>,
    size_bytes: Option<u64>,
    build: String,
    extra_fields: Vec<(String, String)>,
    scripts: Vec<(&'static str, String)>,
    files: Vec<(String, Vec<u8>)>,
    conffiles: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Essential {
    Yes,
    No,
}

impl Package {
    /// A package for amd64 without relations.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            source: None,
            multi_arch: None,
            essential: Essential::No,
            installed_size_kib: 10,
            relations: Vec::new(),
            phased_percent: None,
            size_bytes: None,
            build: String::new(),
            extra_fields: Vec::new(),
            scripts: Vec::new(),
            files: Vec::new(),
            conffiles: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its architecture, `all` included.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The same package in another version.
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = version.to_owned();
        self
    }

    /// For that architecture.
    pub fn arch(mut self, name: &str) -> Self {
        self.architecture = name.to_owned();
        self
    }

    /// `Source`, as `name` or `name (version)`.
    pub fn source(mut self, text: &str) -> Self {
        self.source = Some(text.to_owned());
        self
    }

    /// `Multi-Arch`: `same`, `foreign`, `allowed` or `no`.
    pub fn multi_arch(mut self, text: &str) -> Self {
        self.multi_arch = Some(text.to_owned());
        self
    }

    /// `Essential: yes`.
    pub fn essential(mut self) -> Self {
        self.essential = Essential::Yes;
        self
    }

    /// `Depends`.
    pub fn depends(self, text: &str) -> Self {
        self.relation("Depends", text)
    }

    /// Another relation: `Pre-Depends`, `Conflicts`, `Breaks`, `Replaces`, `Provides`, `Recommends`, `Suggests`. One of
    /// that name is replaced.
    pub fn relation(mut self, field: &'static str, text: &str) -> Self {
        self.relations.retain(|(known, _)| *known != field);
        self.relations.push((field, text.to_owned()));
        self
    }

    /// `Installed-Size` in KiB; 10 by default. apt takes another size for another build.
    pub fn installed_size_kib(mut self, size: u32) -> Self {
        self.installed_size_kib = size;
        self
    }

    /// `Phased-Update-Percentage`, 0 to 100.
    pub fn phased(mut self, percent: u8) -> Self {
        self.phased_percent = Some(percent);
        self
    }

    /// `Size` in bytes, whatever the file's size is.
    pub fn size_bytes(mut self, size: u64) -> Self {
        self.size_bytes = Some(size);
        self
    }

    /// Another build of the same version: its file and so its digest and size differ, its fields do not.
    pub fn rebuilt(mut self, build: &str) -> Self {
        self.build = build.to_owned();
        self
    }

    /// Any further field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.extra_fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A maintainer script: `preinst`, `postinst`, `prerm` or `postrm`, run by the shell.
    pub fn script(mut self, name: &'static str, text: &str) -> Self {
        self.scripts.push((name, format!("#!/bin/sh\n{text}\n")));
        self
    }

    /// A file in it, by its path without leading slash.
    pub fn file(mut self, path: &str, contents: &[u8]) -> Self {
        self.files.push((path.to_owned(), contents.to_vec()));
        self
    }

    /// A configuration file in it: dpkg keeps what its host's administrator made of it.
    pub fn conffile(mut self, path: &str, contents: &str) -> Self {
        self.conffiles.push(format!("/{path}\n"));
        self.file(path, contents.as_bytes())
    }

    /// Path of its file inside the archive's tree. Epochs are left out, as in every Debian archive.
    pub fn filename(&self) -> String {
        let version = self
            .version
            .split_once(':')
            .map_or(self.version.as_str(), |(_, rest)| rest);
        let build = if self.build.is_empty() {
            String::new()
        } else {
            format!("{}/", self.build)
        };
        let Self {
            name, architecture, ..
        } = self;
        format!("pool/{build}{name}/{name}_{version}_{architecture}.deb")
    }

    /// The package file: installable, with its files and a note in /usr/share/doc.
    pub fn deb(&self) -> Vec<u8> {
        let note = format!(
            "{} {} {} {}\n",
            self.name, self.version, self.architecture, self.build
        );
        let path = format!("usr/share/doc/{}/note-{}", self.name, self.architecture);
        let conffiles = self.conffiles.concat();
        let mut members: Vec<_> = (self.scripts.iter())
            .map(|(name, text)| Member::Script(name, text))
            .collect();
        if !conffiles.is_empty() {
            members.push(Member::Text("conffiles", &conffiles));
        }
        let own = self
            .files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
        let files: Vec<_> = own.chain([(path.as_str(), note.as_bytes())]).collect();
        deb::build(&self.control(), &members, &files)
    }

    /// Its stanza in a Packages file, with the blank line after it.
    pub fn index_stanza(&self) -> String {
        let deb = self.deb();
        let mut text = self.control();
        if let Some(percent) = self.phased_percent {
            text.push_str(&format!("Phased-Update-Percentage: {percent}\n"));
        }
        let size = self.size_bytes.unwrap_or(deb.len() as u64);
        text.push_str(&format!(
            "Filename: {}\nSize: {size}\nSHA256: {}\n\n",
            self.filename(),
            hexadecimal(&deb)
        ));
        text
    }

    /// Its stanza in dpkg's status, with the blank line after it; `status` such as `install ok installed`.
    pub fn status_stanza(&self, status: &str) -> String {
        let control = self.control();
        let (first, rest) = control
            .split_once('\n')
            .expect("a control file has several lines");
        format!("{first}\nStatus: {status}\n{rest}\n")
    }

    /// The fields that a package brings with it.
    fn control(&self) -> String {
        let mut text = format!("Package: {}\nVersion: {}\n", self.name, self.version);
        let mut field = |name: &str, value: &str| text.push_str(&format!("{name}: {value}\n"));
        if let Some(source) = &self.source {
            field("Source", source);
        }
        field("Architecture", &self.architecture);
        if let Some(multi_arch) = &self.multi_arch {
            field("Multi-Arch", multi_arch);
        }
        if self.essential == Essential::Yes {
            field("Essential", "yes");
        }
        field("Maintainer", "Test <test@archive.example>");
        field("Installed-Size", &self.installed_size_kib.to_string());
        for (name, value) in &self.relations {
            field(name, value);
        }
        for (name, value) in &self.extra_fields {
            field(name, value);
        }
        field("Description", &format!("{} of a test", self.name));
        text
    }
}
