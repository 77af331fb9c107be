//! A child process that outlives neither its value nor this program.

use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, ExitStatus, Output};

use crate::cleanup;

/// A child process. It is killed when the value is dropped, and on every way out of the program.
#[derive(Debug)]
pub struct Process(Option<Child>);

impl Process {
    /// Starts the process.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn spawn(command: &mut Command) -> io::Result<Process> {
        let child = command.spawn()?;
        cleanup::started(child.id());
        Ok(Process(Some(child)))
    }

    fn take(&mut self) -> Child {
        let child = self.0.take().expect("a process is taken once, by what consumes its value");
        cleanup::ended(child.id());
        child
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        self.deref_mut().wait()
    }

    /// Waits for its end, and collects its output, where that is piped.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn output(mut self) -> io::Result<Output> {
        self.take().wait_with_output()
    }
}

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().expect("a process is taken once, by what consumes its value")
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("a process is taken once, by what consumes its value")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.0.is_some() {
            let mut child = self.take();
            // One that has just ended by itself is as good as killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
