using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using AiAspire.Core.Encryption;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace AiAspire.Unit.CoreTests.Encryption;

/// <summary>The master key in Vault, through the same registration that the processes use, against a stand-in of the protocol.</summary>
[Trait("Checklist", "PRIV-04")]
public sealed class VaultTransitTests : IAsyncLifetime
{
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(32);
    private static readonly byte[] Place = "a place"u8.ToArray();
    private VaultStandIn _vault = null!;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => _vault = await VaultStandIn.StartAsync();

    public ValueTask DisposeAsync() => _vault.DisposeAsync();

    [Fact]
    public async Task What_it_wraps_it_unwraps_in_its_own_place_only_and_the_key_never_travels_in_the_clear_form()
    {
        await using var services = Services();
        var master = services.GetRequiredService<IMasterKey>();
        var wrapped = await master.WrapAsync(Key, Place, Cancelled);

        Assert.Equal("vault:transit/master:v1", wrapped.MasterKeyId);
        Assert.StartsWith("vault:v1:", Encoding.ASCII.GetString(wrapped.Bytes), StringComparison.Ordinal);
        Assert.Equal(Key, await master.UnwrapAsync(wrapped, Place, Cancelled));
        await Assert.ThrowsAnyAsync<CryptographicException>(async () => await master.UnwrapAsync(wrapped, "elsewhere"u8.ToArray(), Cancelled));
        var altered = wrapped with { Bytes = [.. wrapped.Bytes[..^8], .. "AAAAAA=="u8] };
        await Assert.ThrowsAnyAsync<CryptographicException>(async () => await master.UnwrapAsync(altered, Place, Cancelled));
    }

    [Fact]
    public async Task After_a_rotation_in_Vault_the_key_id_changes_and_older_keys_still_unwrap()
    {
        await using var services = Services();
        var master = services.GetRequiredService<IMasterKey>();
        var old = await master.WrapAsync(Key, Place, Cancelled);
        _vault.Rotate();
        var young = await master.WrapAsync(Key, Place, Cancelled);

        Assert.Equal("vault:transit/master:v2", await master.CurrentKeyIdAsync(Cancelled));
        Assert.Equal("vault:transit/master:v2", young.MasterKeyId);
        Assert.Equal(Key, await master.UnwrapAsync(old, Place, Cancelled));
        Assert.Equal(Key, await master.UnwrapAsync(young, Place, Cancelled));
    }

    [Fact]
    public async Task Keys_that_a_local_master_key_wrapped_open_after_the_move_to_Vault()
    {
        var localKey = RandomNumberGenerator.GetBytes(32);
        var wrapped = await new LocalMasterKey(localKey).WrapAsync(Key, Place, Cancelled);
        await using var with = Services(("Encryption:PreviousMasterKeys:0", Convert.ToBase64String(localKey)));
        await using var without = Services();

        Assert.Equal(Key, await with.GetRequiredService<IMasterKey>().UnwrapAsync(wrapped, Place, Cancelled));
        var refusal = await Assert.ThrowsAnyAsync<CryptographicException>(
            async () => await without.GetRequiredService<IMasterKey>().UnwrapAsync(wrapped, Place, Cancelled));
        Assert.Contains("PreviousMasterKeyFiles", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_token_file_is_read_at_every_call()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "expired", Cancelled);
            await using var services = Services(("Encryption:Vault:Token", null), ("Encryption:Vault:TokenFile", file));
            var master = services.GetRequiredService<IMasterKey>();
            Assert.Contains("denied", await UnavailableAsync(master), StringComparison.Ordinal);

            await File.WriteAllTextAsync(file, VaultStandIn.Token + "\n", Cancelled);
            Assert.Equal("vault:transit/master:v1", await master.CurrentKeyIdAsync(Cancelled));
        }
        finally
        {
            File.Delete(file);
        }

        await using var missing = Services(("Encryption:Vault:Token", null), ("Encryption:Vault:TokenFile", file));
        Assert.Contains(file, await UnavailableAsync(missing.GetRequiredService<IMasterKey>()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_namespace_is_sent()
    {
        _vault.ExpectedNamespace = VaultStandIn.Namespace;
        await using var without = Services();
        await using var with = Services(("Encryption:Vault:Namespace", VaultStandIn.Namespace));

        Assert.Contains("denied", await UnavailableAsync(without.GetRequiredService<IMasterKey>()), StringComparison.Ordinal);
        Assert.NotEmpty(await with.GetRequiredService<IMasterKey>().CurrentKeyIdAsync(Cancelled));
    }

    [Fact]
    public async Task Each_way_of_being_unavailable_is_told_apart()
    {
        await using var services = Services(("Encryption:Vault:TimeoutSeconds", "1"));
        var master = services.GetRequiredService<IMasterKey>();
        await using var noKey = Services(("Encryption:Vault:Key", "other"));
        await using var noMount = Services(("Encryption:Vault:Mount", "elsewhere"));
        var stranger = noKey.GetRequiredService<IMasterKey>();
        Assert.Contains("has no transit key transit/other", await UnavailableAsync(stranger), StringComparison.Ordinal);
        var unknown = new WrappedKey("vault:transit/other:v1", "vault:v1:AAAA"u8.ToArray());
        Assert.Contains("has no transit key transit/other", (await Assert.ThrowsAsync<MasterKeyUnavailableException>(
            async () => await stranger.UnwrapAsync(unknown, Place, Cancelled))).Message, StringComparison.Ordinal);
        Assert.Contains("has no transit key elsewhere/master", await UnavailableAsync(noMount.GetRequiredService<IMasterKey>()), StringComparison.Ordinal);

        _vault.KeyType = "rsa-4096";
        Assert.Contains("takes no associated data", await UnavailableAsync(master), StringComparison.Ordinal);
        _vault.Sealed = true;
        Assert.Contains("is sealed", await UnavailableAsync(master), StringComparison.Ordinal);
        _vault.Hangs = true;
        Assert.Contains("did not answer within 1 s", await UnavailableAsync(master), StringComparison.Ordinal);
        await using var nobody = Services(("Encryption:Vault:Address", $"http://127.0.0.1:{ClosedPort()}"));
        Assert.Contains("cannot be reached", await UnavailableAsync(nobody.GetRequiredService<IMasterKey>()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("http://vault.internal:8200", "use https")]
    [InlineData("ftp://127.0.0.1", "http(s) address")]
    [InlineData("https://vault.internal:8200", null)]
    [InlineData("http://localhost:8200", null)]
    [InlineData("http://[::1]:8200", null)]
    public void Plain_http_is_for_loopback_only(string address, string? complaint)
        => Complains(new EncryptionOptions { Vault = new VaultTransitOptions { Address = new Uri(address), Key = "master", Token = "t" } }, complaint);

    [Theory]
    [InlineData("../sys/seal", "transit")]
    [InlineData("a/b", "transit")]
    [InlineData("", "transit")]
    [InlineData("master", "../sys")]
    [InlineData("master", "transit?x=1")]
    public void Names_that_would_lead_elsewhere_in_Vault_are_refused(string key, string mount)
        => Complains(new EncryptionOptions { Vault = new VaultTransitOptions { Address = new Uri("https://v"), Key = key, Mount = mount, Token = "t" } }, "must");

    [Fact]
    public void Exactly_one_master_key_and_one_token_must_be_given()
    {
        var vault = new VaultTransitOptions { Address = new Uri("https://v"), Key = "master", Token = "t" };
        Complains(new EncryptionOptions(), "0 are set");
        Complains(new EncryptionOptions { MasterKey = "x", Vault = vault }, "2 are set");
        Complains(new EncryptionOptions { MasterKey = "x", MasterKeyFile = "y" }, "2 are set");
        Complains(new EncryptionOptions { MasterKey = "x" }, null);
        Complains(new EncryptionOptions { Vault = new VaultTransitOptions { Address = vault.Address, Key = "k" } }, "exactly one of Encryption:Vault:TokenFile");
        Complains(new EncryptionOptions { Vault = new VaultTransitOptions { Address = vault.Address, Key = "k", Token = "t", TokenFile = "f" } }, "exactly one of Encryption:Vault:TokenFile");
    }

    private static void Complains(EncryptionOptions options, string? complaint)
    {
        var complaints = options.Validate(new ValidationContext(options)).Select(r => r.ErrorMessage!).ToList();
        if (complaint is null)
            Assert.Empty(complaints);
        else
            Assert.Contains(complaints, c => c.Contains(complaint, StringComparison.Ordinal));
    }

    private static async Task<string> UnavailableAsync(IMasterKey master)
        => (await Assert.ThrowsAsync<MasterKeyUnavailableException>(async () => await master.CurrentKeyIdAsync(Cancelled))).Message;

    private static int ClosedPort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private ServiceProvider Services(params (string Key, string? Value)[] settings)
    {
        var configuration = new Dictionary<string, string?>
        {
            ["Encryption:Vault:Address"] = _vault.Address.ToString(),
            ["Encryption:Vault:Key"] = "master",
            ["Encryption:Vault:Token"] = VaultStandIn.Token,
        };
        foreach (var (key, value) in settings)
            configuration[key] = value;
        return new ServiceCollection()
            .AddSingleton<IConfiguration>(new ConfigurationBuilder().AddInMemoryCollection(configuration).Build())
            .AddLogging()
            .AddTombstoneReplay()
            .BuildServiceProvider();
    }
}
