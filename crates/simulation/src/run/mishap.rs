//! What goes wrong, and what people do without asking.

use super::{Copying, Weather, World};
use crate::computer::{Computer, Link};
use crate::event::Event;
use anyhow::Result;
use jiff::SignedDuration;
use rand::Rng;
use store::host::HostState;

/// Computers in a run, copies included.
const COMPUTERS: usize = 7;
/// Hours in a year.
const YEAR_HOURS: i64 = 365 * 24;

impl World {
    pub(super) async fn mishap(&mut self) -> Result<()> {
        if self.weather == Weather::Good {
            return Ok(());
        }
        let place = self.chance.gen_range(0..self.computers.len());
        match self.chance.gen_range(0..100) {
            0..=15 => self.deploy().await?,
            16..=18 => self.change_mode(place),
            19..=29 => {
                self.count("packages changed", &self.computers[place].name.clone());
                self.computers[place].install(&mut self.chance);
            }
            30..=39 => {
                self.count("agent crashed", &self.computers[place].name.clone());
                self.computers[place].start_process();
                self.wake(place).await?;
            }
            40..=48 => self.restart(place).await?,
            49..=56 => self.cut(place),
            57..=61 => {
                self.count("date set wrong", &self.computers[place].name.clone());
                let off = self.year_or_hours();
                self.computers[place].step_date(off);
            }
            62..=69 => {
                self.count("server crashed", "");
                self.server_crash().await?;
            }
            70..=74 => self.step_server_clock(),
            75..=79 => {
                self.count("cache wiped", "");
                server::agents::wipe(self.site.context()).await?;
            }
            80..=83 => self.back_up().await?,
            84..=86 => self.restore().await?,
            87..=91 => self.copy(place).await?,
            92..=93 => self.reimage(place).await?,
            94..=95 => self.retire(place).await?,
            _ => {
                self.count("weather changed", "");
                self.loss = self.chance.gen_range(0..300);
            }
        }
        let pause = SignedDuration::from_secs(self.chance.gen_range(20..400));
        self.queue.after(self.now, pause, Event::Mishap);
        Ok(())
    }

    async fn restart(&mut self, place: usize) -> Result<()> {
        let computer = &mut self.computers[place];
        if computer.hardware.is_none() {
            // Should it be copied, only its boot tells it from the copy.
            return Ok(());
        }
        computer.start(self.now, &mut self.chance);
        self.count("host restarted", &self.computers[place].name.clone());
        self.wake(place).await
    }

    fn cut(&mut self, place: usize) {
        self.count("link cut", &self.computers[place].name.clone());
        self.computers[place].link = Link::Cut;
        let span = SignedDuration::from_secs(self.chance.gen_range(30..1_800));
        self.queue.after(self.now, span, Event::LinkBack(place));
    }

    fn year_or_hours(&mut self) -> SignedDuration {
        let off = if self.chance.gen_ratio(1, 2) {
            YEAR_HOURS
        } else {
            3
        };
        SignedDuration::from_hours(if self.chance.gen_ratio(1, 2) { off } else { -off })
    }

    async fn server_crash(&mut self) -> Result<()> {
        self.held.clear();
        self.site.crash().await?;
        self.promises.check_kept(&self.site).await
    }

    fn step_server_clock(&mut self) {
        if self.server_is_off() != SignedDuration::ZERO {
            return;
        }
        self.count("server's clock stepped", "");
        let off = self.year_or_hours();
        self.site.clock.step_to(self.now + off);
        let span = SignedDuration::from_secs(self.chance.gen_range(60..2_400));
        self.queue.after(self.now, span, Event::ServerClockRight);
    }

    async fn back_up(&mut self) -> Result<()> {
        if !self.may_restore {
            return Ok(());
        }
        self.count("backed up", "");
        self.held.clear();
        let number = self.site.back_up().await?;
        self.backups.push((number, self.promises.clone()));
        Ok(())
    }

    async fn restore(&mut self) -> Result<()> {
        let Some((number, promises)) = self.backups.last().cloned() else {
            return Ok(());
        };
        self.count("restored", "");
        self.held.clear();
        self.site.restore(number).await?;
        self.promises.restored(promises);
        self.promises.check_kept(&self.site).await
    }

    async fn copy(&mut self, place: usize) -> Result<()> {
        let original = &self.computers[place];
        let original_name = original.name.clone();
        let is_known = original.is_served() && !self.promises.is_given_up(&original.name);
        let can_be_told = original.hardware.is_some() || !self.may_restore;
        if self.copying == Copying::Never || self.computers.len() >= COMPUTERS || !is_known || !can_be_told {
            return Ok(());
        }
        let Some(host) = original.journal.host() else {
            return Ok(());
        };
        let name = format!("copy-{}-of-{}", self.computers.len(), original.name);
        let hardware = original.hardware.map(|_| self.chance.r#gen());
        let copy: Computer = original.copied(name, hardware, self.now, &mut self.chance);
        self.count("host copied", &original_name);
        self.promises.copied(&original_name, host, &copy.name);
        self.computers.push(copy);
        self.wake(self.computers.len() - 1).await
    }

    async fn reimage(&mut self, place: usize) -> Result<()> {
        if self.promises.is_copied(&self.computers[place].name) {
            return Ok(());
        }
        self.count("host reimaged", &self.computers[place].name.clone());
        let old = self.computers[place].journal.host();
        self.computers[place].reimage(self.now, &mut self.chance);
        self.promises.given_up(&self.computers[place].name);
        match old.filter(|host| self.is_of_nobody_else(*host, place)) {
            Some(host) => self.retire_host(host).await,
            None => Ok(()),
        }
    }

    async fn retire(&mut self, place: usize) -> Result<()> {
        let computer = &self.computers[place];
        let (name, host) = (computer.name.clone(), computer.journal.host());
        let is_shared = host.is_some_and(|host| !self.is_of_nobody_else(host, place));
        if !computer.is_served() || is_shared || self.promises.is_copied(&computer.name) {
            return Ok(());
        }
        self.count("host retired", &name);
        self.promises.given_up(&name);
        match host {
            Some(host) => self.retire_host(host).await,
            None => Ok(()),
        }
    }

    /// Whether no other computer goes by this identity: what a person sees who knows which computer is which.
    fn is_of_nobody_else(&self, host: domain::id::HostId, place: usize) -> bool {
        let mut computers = self.computers.iter().enumerate();
        computers.all(|(other, computer)| other == place || computer.journal.host() != Some(host))
    }

    async fn retire_host(&mut self, id: domain::id::HostId) -> Result<()> {
        match self.site.host(id).await? {
            Some(host) if host.state != HostState::Retired => {
                self.site.set_state(&host, HostState::Retired).await
            }
            _ => Ok(()),
        }
    }
}
