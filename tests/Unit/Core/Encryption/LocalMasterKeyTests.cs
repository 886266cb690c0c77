using System.Security.Cryptography;
using AiAspire.Core.Encryption;

namespace AiAspire.Unit.CoreTests.Encryption;

public sealed class LocalMasterKeyTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_key_from_a_file_unwraps_what_the_same_key_wrapped()
    {
        var bytes = RandomNumberGenerator.GetBytes(32);
        Write(Convert.ToBase64String(bytes) + "\n");
        var (fromFile, direct) = (LocalMasterKey.FromFile(_file), new LocalMasterKey(bytes));

        var wrapped = await fromFile.WrapAsync("tenant key"u8.ToArray(), "place"u8.ToArray(), Cancellation);

        Assert.Equal(direct.KeyId, fromFile.KeyId);
        Assert.Equal("tenant key"u8.ToArray(), await direct.UnwrapAsync(wrapped, "place"u8.ToArray(), Cancellation));
        await Assert.ThrowsAnyAsync<CryptographicException>(async () => await direct.UnwrapAsync(wrapped, "elsewhere"u8.ToArray(), Cancellation));
        await Assert.ThrowsAnyAsync<CryptographicException>(async () => await new LocalMasterKey(RandomNumberGenerator.GetBytes(32)).UnwrapAsync(wrapped, "place"u8.ToArray(), Cancellation));
    }

    [Fact]
    public void The_key_id_tells_keys_apart_and_tells_nothing_of_the_key()
    {
        var key = RandomNumberGenerator.GetBytes(32);
        var id = new LocalMasterKey(key).KeyId;

        Assert.NotEqual(id, new LocalMasterKey(RandomNumberGenerator.GetBytes(32)).KeyId);
        Assert.DoesNotContain(Convert.ToHexStringLower(key)[..8], id, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToHexStringLower(SHA256.HashData(key))[..8], id, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_file_that_others_can_reach_is_refused_with_the_remedy(UnixFileMode open)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "File modes are Unix's.");
        Write(Convert.ToBase64String(new byte[32]));
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(_file, UnixFileMode.UserRead | UnixFileMode.UserWrite | open);

        Assert.Contains("chmod 600", Assert.Throws<InvalidOperationException>(() => LocalMasterKey.FromFile(_file)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_is_named() => Assert.Contains(_file, Assert.Throws<InvalidOperationException>(() => LocalMasterKey.FromFile(_file)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(0)]
    [InlineData(16)]
    [InlineData(31)]
    [InlineData(33)]
    [InlineData(64)]
    public void A_key_of_another_size_is_refused(int bytes)
    {
        var refusal = Assert.Throws<InvalidOperationException>(() => LocalMasterKey.FromBase64(Convert.ToBase64String(new byte[bytes]), "the setting"));

        Assert.Contains($"{bytes} bytes", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("not base64!")]
    [InlineData("AAAA=AAA")]
    [InlineData("ключ")]
    public void What_is_no_base64_is_refused_without_being_repeated(string text)
    {
        var refusal = Assert.Throws<InvalidOperationException>(() => LocalMasterKey.FromBase64(text, "the setting"));

        Assert.Contains("the setting is not base64", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(text, refusal.Message, StringComparison.Ordinal);
    }

    public void Dispose() => File.Delete(_file);

    private void Write(string text)
    {
        File.WriteAllText(_file, text);
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(_file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }
}
