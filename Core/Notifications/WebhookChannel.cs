using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.Options;

namespace AiAspire.Core.Notifications;

/// <summary>
/// Signed POSTs by the Standard Webhooks specification:
/// <code>
/// webhook-id: msg_…                     the same at every try
/// webhook-timestamp: 1674087231         Unix seconds of this try
/// webhook-signature: v1,K5oZ…=          base64 of HMAC-SHA256 over "{id}.{timestamp}.{body}"
///
/// {"type":"budget","timestamp":"2026-11-24T09:00:00Z","data":{"subject":…,"text":…,…}}
/// </code>
/// </summary>
public sealed class WebhookChannel(IHttpClientFactory clients, WebhookSecrets secrets, IOptions<NotificationOptions> options, TimeProvider time) : INotificationChannel
{
    public const string ClientName = "notification-webhooks";

    public string Name => NotificationOutbox.Webhook;

    public async Task<DeliveryResult> DeliverAsync(ClaimedDelivery delivery, CancellationToken cancellationToken)
    {
        if (delivery is not { Url: { } url, Secret: { } secret })
            return DeliveryResult.Refused("The webhook was removed.");
        var key = await secrets.OpenAsync(delivery.TenantId, Guid.Parse(delivery.Target), secret, cancellationToken);
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(options.Value.WebhookTimeoutSeconds), time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        using var request = Compose(url, delivery, key);
        try
        {
            using var response = await clients.CreateClient(ClientName).SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
            return Judge(response);
        }
        catch (HttpRequestException e) when (e.InnerException is TargetRefusedException refused)
        {
            return DeliveryResult.Refused(refused.Message);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or SocketException)
        {
            return DeliveryResult.Retry($"The webhook could not be reached: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return DeliveryResult.Retry($"The webhook did not answer within {options.Value.WebhookTimeoutSeconds} s.");
        }
    }

    private HttpRequestMessage Compose(string url, ClaimedDelivery delivery, byte[] key)
    {
        var body = Body(delivery);
        var id = $"msg_{delivery.NotificationId:n}";
        var timestamp = time.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new("application/json");
        request.Headers.Add("webhook-id", id);
        request.Headers.Add("webhook-timestamp", timestamp);
        request.Headers.TryAddWithoutValidation("webhook-signature", Sign(key, id, timestamp, body));
        request.Headers.UserAgent.ParseAdd("AiAspire-Webhooks/1");
        return request;
    }

    private static string Sign(byte[] key, string id, string timestamp, byte[] body)
    {
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        hmac.AppendData(Encoding.UTF8.GetBytes($"{id}.{timestamp}."));
        hmac.AppendData(body);
        return "v1," + Convert.ToBase64String(hmac.GetHashAndReset());
    }

    private static byte[] Body(ClaimedDelivery delivery)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("type", delivery.Topic);
            json.WriteString("timestamp", delivery.CreatedAt.UtcDateTime);
            json.WriteStartObject("data");
            json.WriteString("tenant_id", delivery.TenantId);
            json.WriteString("subject", delivery.Subject);
            json.WriteString("text", delivery.Text);
            json.WritePropertyName("details");
            json.WriteRawValue(delivery.Data);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    private DeliveryResult Judge(HttpResponseMessage response)
    {
        var status = (int)response.StatusCode;
        if (status is >= 200 and < 300)
            return DeliveryResult.Delivered;
        // Standard Webhooks: 410 is how a receiver unsubscribes. A redirect is not followed: its target was never checked or agreed to.
        if (response.StatusCode == HttpStatusCode.Gone)
            return DeliveryResult.Refused("The receiver answered 410: it wants no more.");
        var after = response.Headers.RetryAfter;
        return DeliveryResult.Retry($"The receiver answered {status}.", after?.Delta ?? (after?.Date - time.GetUtcNow()));
    }
}
