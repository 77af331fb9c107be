//! Ways to write a command down.

/// One argument of a command, as the bytes that go over the wire.
pub trait Arg {
    /// The argument's bytes.
    fn to_arg(&self) -> Vec<u8>;
}

macro_rules! arg_by_bytes {
    ($($kind:ty),*) => {$(
        impl Arg for $kind {
            fn to_arg(&self) -> Vec<u8> {
                let bytes: &[u8] = self.as_ref();
                bytes.to_vec()
            }
        }
    )*};
}
arg_by_bytes!(str, String, [u8], Vec<u8>);

macro_rules! arg_by_digits {
    ($($kind:ty),*) => {$(
        impl Arg for $kind {
            fn to_arg(&self) -> Vec<u8> {
                self.to_string().into_bytes()
            }
        }
    )*};
}
arg_by_digits!(i32, u32, i64, u64, usize, u16);

impl<const N: usize> Arg for [u8; N] {
    fn to_arg(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<T: Arg + ?Sized> Arg for &T {
    fn to_arg(&self) -> Vec<u8> {
        (*self).to_arg()
    }
}

/// Anything that is a command: a line of words, or a vector of binary-safe arguments.
pub trait IntoCommand {
    /// The command's arguments, its name first.
    fn into_command(self) -> Vec<Vec<u8>>;
}

impl IntoCommand for &str {
    fn into_command(self) -> Vec<Vec<u8>> {
        self.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }
}

impl IntoCommand for String {
    fn into_command(self) -> Vec<Vec<u8>> {
        self.as_str().into_command()
    }
}

impl IntoCommand for &String {
    fn into_command(self) -> Vec<Vec<u8>> {
        self.as_str().into_command()
    }
}

impl IntoCommand for Vec<Vec<u8>> {
    fn into_command(self) -> Vec<Vec<u8>> {
        self
    }
}

impl IntoCommand for &[Vec<u8>] {
    fn into_command(self) -> Vec<Vec<u8>> {
        self.to_vec()
    }
}

impl IntoCommand for &Vec<Vec<u8>> {
    fn into_command(self) -> Vec<Vec<u8>> {
        self.clone()
    }
}
