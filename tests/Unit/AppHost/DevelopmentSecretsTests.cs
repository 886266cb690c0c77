using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using AiAspire.AppHost;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.AppHosting;

public sealed class DevelopmentSecretsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("aiaspire-unit-").FullName;

    [Fact]
    public void Secrets_are_for_this_user_only_and_survive()
    {
        var first = DevelopmentSecrets.In(_folder);
        var second = DevelopmentSecrets.In(_folder);

        Assert.Equal(first.ApiKey, second.ApiKey);
        Assert.Equal(first.IssuerPublicKey, second.IssuerPublicKey);
        Assert.Matches("^sk-dev-[A-Za-z0-9_-]{43}$", first.ApiKey);
        Assert.Equal(32, Convert.FromBase64String(File.ReadAllText(first.MasterKeyFile)).Length);
        foreach (var file in Directory.EnumerateFiles(Path.Combine(_folder, "secrets")))
            Assert.True(OperatingSystem.IsWindows() || File.GetUnixFileMode(file) == (UnixFileMode.UserRead | UnixFileMode.UserWrite), file);
    }

    [Fact]
    public void Another_folder_has_other_secrets() =>
        Assert.NotEqual(DevelopmentSecrets.In(_folder).ApiKey, DevelopmentSecrets.In(Path.Combine(_folder, "other")).ApiKey);

    [Fact]
    [Trait("Checklist", "AUTH-01")]
    public void A_token_carries_its_tenant_and_verifies_with_the_public_key()
    {
        var now = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
        var secrets = DevelopmentSecrets.In(_folder);
        using var key = secrets.IssuerKey();

        var parts = TokenVerb.Sign(key, "acme", "alice", ["operator"], TimeSpan.FromHours(1), new FakeTimeProvider(now)).Split('.');

        Assert.Equal("""{"alg":"ES256","typ":"at+jwt"}""", Encoding.UTF8.GetString(Base64Url.DecodeFromChars(parts[0])));
        var claims = JsonDocument.Parse(Base64Url.DecodeFromChars(parts[1])).RootElement;
        Assert.Equal("https://dev.aiaspire.local", claims.GetProperty("iss").GetString());
        Assert.Equal("aiaspire", claims.GetProperty("aud").GetString());
        Assert.Equal("alice", claims.GetProperty("sub").GetString());
        Assert.Equal("acme", claims.GetProperty("tenant_id").GetString());
        Assert.Equal("operator", Assert.Single(claims.GetProperty("roles").EnumerateArray()).GetString());
        Assert.Equal(now.ToUnixTimeSeconds(), claims.GetProperty("nbf").GetInt64());
        Assert.Equal(now.ToUnixTimeSeconds() + 3600, claims.GetProperty("exp").GetInt64());
        Assert.True(Guid.TryParse(claims.GetProperty("jti").GetString(), out _));

        using var verifier = ECDsa.Create();
        verifier.ImportSubjectPublicKeyInfo(Convert.FromBase64String(secrets.IssuerPublicKey), out _);
        var signature = Base64Url.DecodeFromChars(parts[2]);
        Assert.Equal(64, signature.Length);
        Assert.True(verifier.VerifyData(Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}"), signature, HashAlgorithmName.SHA256));
    }

    [Theory]
    [InlineData("90s", 90)]
    [InlineData("15m", 900)]
    [InlineData("1h", 3600)]
    [InlineData("7d", 604800)]
    public void Lifetimes_are_a_number_and_a_unit(string text, int seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), TokenVerb.ParseLifetime(text));

    [Theory]
    [InlineData("")]
    [InlineData("h")]
    [InlineData("0h")]
    [InlineData("-1h")]
    [InlineData("1y")]
    public void Other_lifetimes_are_refused(string text) => Assert.Null(TokenVerb.ParseLifetime(text));

    [Theory]
    [InlineData("--tenant acme")]
    [InlineData("--tenant acme --user alice --expires soon")]
    [InlineData("--tenant acme --user alice --colour red")]
    [InlineData("--tenant acme --user")]
    public void A_token_that_cannot_be_made_is_a_wrong_use(string arguments)
    {
        using var error = new StringWriter();
        Assert.Equal(2, TokenVerb.Run(arguments.Split(' '), TextWriter.Null, error, TimeProvider.System));
        Assert.Contains("--tenant T --user U", error.ToString(), StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
