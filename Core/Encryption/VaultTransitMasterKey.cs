using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace AiAspire.Core.Encryption;

/// <summary>
/// A master key inside HashiCorp Vault, used over the HTTP API of its transit engine; it wraps and unwraps there and never comes here.
/// Vault's own key versions are part of the key id: <c>vault:mount/name:v3</c>. Its <c>rewrap</c> call takes no associated data, so a
/// key that is bound to its place is re-wrapped by decrypting and encrypting.
/// </summary>
internal sealed class VaultTransitMasterKey(IHttpClientFactory clients, VaultTransitOptions options) : IMasterKey
{
    public const string ClientName = "vault-transit";
    private static readonly string[] KeyTypesWithAssociatedData = ["aes256-gcm96", "aes128-gcm96", "chacha20-poly1305"];

    private string KeyName => $"{options.Mount}/{options.Key}";

    public async ValueTask<string> CurrentKeyIdAsync(CancellationToken cancellationToken)
    {
        // {"data":{"type":"aes256-gcm96","latest_version":3,"keys":{"1":1700000000,…},…}}
        var data = await SendAsync(HttpMethod.Get, "keys", null, cancellationToken);
        var type = Text(data, "type");
        if (!KeyTypesWithAssociatedData.Contains(type))
            throw new MasterKeyUnavailableException($"The Vault key {KeyName} has the type {type}, which takes no associated data; make one of type aes256-gcm96.");
        return KeyId(data.TryGetProperty("latest_version", out var version) && version.TryGetInt32(out var number) ? number : throw Unexpected("latest_version"));
    }

    public async ValueTask<WrappedKey> WrapAsync(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
    {
        var data = await SendAsync(HttpMethod.Post, "encrypt", new JsonObject
        {
            ["plaintext"] = Convert.ToBase64String(key.Span),
            ["associated_data"] = Convert.ToBase64String(associatedData.Span),
        }, cancellationToken);
        // vault:v3:BASE64
        var ciphertext = Text(data, "ciphertext");
        return ciphertext.Split(':') is ["vault", ['v', .. var version], _] && int.TryParse(version, out var number)
            ? new WrappedKey(KeyId(number), Encoding.ASCII.GetBytes(ciphertext))
            : throw Unexpected("ciphertext");
    }

    public async ValueTask<byte[]> UnwrapAsync(WrappedKey wrapped, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
    {
        if (!wrapped.MasterKeyId.StartsWith($"vault:{KeyName}:", StringComparison.Ordinal))
            throw new CryptographicException($"'{wrapped.MasterKeyId}' is not the Vault key {KeyName}.");
        var data = await SendAsync(HttpMethod.Post, "decrypt", new JsonObject
        {
            ["ciphertext"] = Encoding.ASCII.GetString(wrapped.Bytes),
            ["associated_data"] = Convert.ToBase64String(associatedData.Span),
        }, cancellationToken);
        return Convert.FromBase64String(Text(data, "plaintext"));
    }

    private string KeyId(int version) => $"vault:{KeyName}:v{version}";

    private async Task<JsonElement> SendAsync(HttpMethod method, string operation, JsonObject? body, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri(options.Address!, $"/v1/{options.Mount}/{operation}/{options.Key}"));
        request.Headers.Add("X-Vault-Request", "true");
        request.Headers.Add("X-Vault-Token", await TokenAsync(cancellationToken));
        if (options.Namespace is { Length: > 0 } @namespace)
            request.Headers.Add("X-Vault-Namespace", @namespace);
        if (body is not null)
            request.Content = JsonContent.Create(body);
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(TimeSpan.FromSeconds(options.TimeoutSeconds));
        try
        {
            using var client = clients.CreateClient(ClientName);
            using var response = await client.SendAsync(request, timeout.Token);
            if (!response.IsSuccessStatusCode)
                throw Refused(response.StatusCode, operation, await ErrorsAsync(response, timeout.Token));
            var answer = await response.Content.ReadFromJsonAsync<JsonElement>(timeout.Token);
            return answer.ValueKind == JsonValueKind.Object && answer.TryGetProperty("data", out var data) ? data : throw Unexpected("data");
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new MasterKeyUnavailableException($"Vault at {options.Address} did not answer within {options.TimeoutSeconds} s.", e);
        }
        catch (Exception e) when (e is HttpRequestException or JsonException)
        {
            throw new MasterKeyUnavailableException($"Vault at {options.Address} cannot be reached or does not speak its protocol: {e.Message}", e);
        }
    }

    /// <summary>Vault's statuses (its HTTP API documentation): 400 bad input, 403 denied, 404 nothing there, 503 sealed or in maintenance.</summary>
    private Exception Refused(HttpStatusCode status, string operation, string errors) => status switch
    {
        HttpStatusCode.BadRequest when errors.Contains("key not found", StringComparison.OrdinalIgnoreCase) => Missing(),
        HttpStatusCode.BadRequest => new CryptographicException($"Vault refused to {operation} with the key {KeyName}: {errors}"),
        HttpStatusCode.Forbidden => new MasterKeyUnavailableException(
            $"Vault denied {operation} on {KeyName}: the token is missing, expired, or its policy does not allow update on {options.Mount}/{operation}/{options.Key}. ({errors})"),
        HttpStatusCode.NotFound => Missing(),
        HttpStatusCode.ServiceUnavailable => new MasterKeyUnavailableException($"Vault at {options.Address} is sealed or in maintenance: unseal it. ({errors})"),
        _ => new MasterKeyUnavailableException($"Vault at {options.Address} answered {(int)status} to {operation} on {KeyName}. ({errors})"),
    };

    private MasterKeyUnavailableException Missing() => new(
        $"Vault at {options.Address} has no transit key {KeyName}: make it with 'vault write -f {options.Mount}/keys/{options.Key}', or correct Encryption:Vault:Mount and :Key.");

    private MasterKeyUnavailableException Unexpected(string field) => new($"Vault at {options.Address} answered without a usable '{field}'.");

    private string Text(JsonElement data, string field)
        => data.ValueKind == JsonValueKind.Object && data.TryGetProperty(field, out var value) && value.GetString() is { Length: > 0 } text ? text : throw Unexpected(field);

    private async Task<string> TokenAsync(CancellationToken cancellationToken)
    {
        if (options.Token is { Length: > 0 } token)
            return token.Trim();
        try
        {
            return (await File.ReadAllTextAsync(options.TokenFile!, cancellationToken)).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new MasterKeyUnavailableException($"The Vault token file '{options.TokenFile}' cannot be read: {e.Message}", e);
        }
    }

    private static async Task<string> ErrorsAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        // {"errors":["permission denied"]}
        const int Enough = 500;
        var text = await response.Content.ReadAsStringAsync(cancellationToken);
        return text.Length <= Enough ? text.Trim() : text[..Enough];
    }
}
