using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace AiAspire.Unit.CoreTests.Encryption;

/// <summary>
/// What Vault's transit engine does over HTTP, as its API documentation tells it: one key with versions, AES-GCM with associated data,
/// tokens, seal. Its <c>rewrap</c>, like the real one, knows no associated data.
/// </summary>
internal sealed class VaultStandIn : IAsyncDisposable
{
    public const string Token = "hvs.stand-in";
    public const string Namespace = "team-a";

    private readonly WebApplication _app;
    private readonly List<byte[]> _versions = [RandomNumberGenerator.GetBytes(32)];

    private VaultStandIn(WebApplication app)
    {
        _app = app;
        app.Use(AdmitAsync);
        app.MapGet("/v1/transit/keys/master", () => Data(new { type = KeyType, latest_version = _versions.Count, min_decryption_version = 1 }));
        app.MapGet("/v1/transit/keys/{other}", () => Results.Json(new { errors = Array.Empty<string>() }, statusCode: 404));
        app.MapPost("/v1/transit/encrypt/master", Encrypt);
        app.MapPost("/v1/transit/decrypt/master", Decrypt);
        app.MapPost("/v1/transit/decrypt/{other}", () => Error(400, "encryption key not found"));
        app.MapPost("/v1/transit/rewrap/master", (JsonElement body) => body.TryGetProperty("associated_data", out _)
            ? Error(400, "cipher: message authentication failed")
            : Error(500, "not used"));
    }

    public Uri Address { get; private set; } = null!;

    public bool Sealed { get; set; }

    public string KeyType { get; set; } = "aes256-gcm96";

    /// <summary>Every request with its path, and for a failure to answer at all: a delay without end.</summary>
    public List<string> Requests { get; } = [];

    public bool Hangs { get; set; }

    public string? ExpectedNamespace { get; set; }

    public static async Task<VaultStandIn> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder(["--urls=http://127.0.0.1:0"]);
        builder.Logging.ClearProviders();
        var vault = new VaultStandIn(builder.Build());
        await vault._app.StartAsync(TestContext.Current.CancellationToken);
        vault.Address = new Uri(vault._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        return vault;
    }

    public void Rotate() => _versions.Add(RandomNumberGenerator.GetBytes(32));

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AdmitAsync(HttpContext http, RequestDelegate next)
    {
        lock (Requests)
            Requests.Add($"{http.Request.Method} {http.Request.Path}");
        if (Hangs)
            await Task.Delay(Timeout.InfiniteTimeSpan, http.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        else if (Sealed)
            await Error(503, "Vault is sealed").ExecuteAsync(http);
        else if (http.Request.Headers["X-Vault-Token"] != Token || http.Request.Headers["X-Vault-Namespace"] != (ExpectedNamespace ?? (string?)null))
            await Error(403, "permission denied").ExecuteAsync(http);
        else
            await next(http);
    }

    private IResult Encrypt(JsonElement body)
    {
        var plaintext = Convert.FromBase64String(body.GetProperty("plaintext").GetString()!);
        var box = new byte[12 + plaintext.Length + 16];
        RandomNumberGenerator.Fill(box.AsSpan(0, 12));
        using var aes = new AesGcm(_versions[^1], 16);
        aes.Encrypt(box.AsSpan(0, 12), plaintext, box.AsSpan(12, plaintext.Length), box.AsSpan(12 + plaintext.Length), Associated(body));
        return Data(new { ciphertext = $"vault:v{_versions.Count}:{Convert.ToBase64String(box)}", key_version = _versions.Count });
    }

    private IResult Decrypt(JsonElement body)
    {
        var parts = body.GetProperty("ciphertext").GetString()!.Split(':');
        if (parts is not ["vault", ['v', .. var number], var text] || !int.TryParse(number, out var version) || version < 1 || version > _versions.Count)
            return Error(400, "invalid ciphertext: no prefix");
        var box = Convert.FromBase64String(text);
        var plaintext = new byte[box.Length - 28];
        using var aes = new AesGcm(_versions[version - 1], 16);
        try
        {
            aes.Decrypt(box.AsSpan(0, 12), box.AsSpan(12, plaintext.Length), box.AsSpan(12 + plaintext.Length), plaintext, Associated(body));
        }
        catch (AuthenticationTagMismatchException)
        {
            return Error(400, "cipher: message authentication failed");
        }

        return Data(new { plaintext = Convert.ToBase64String(plaintext) });
    }

    private static byte[] Associated(JsonElement body)
        => body.TryGetProperty("associated_data", out var data) ? Convert.FromBase64String(data.GetString()!) : [];

    private static IResult Data(object data) => Results.Json(new { request_id = "r", data });

    private static IResult Error(int status, string message) => Results.Json(new { errors = new[] { message } }, statusCode: status);
}
