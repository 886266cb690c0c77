using System.Net.Sockets;
using MailKit;
using MailKit.Net.Smtp;
using MailKit.Security;
using Microsoft.Extensions.Options;
using MimeKit;

namespace AiAspire.Core.Notifications;

/// <summary>Mail over SMTP (encrypted beyond this machine), or into a folder in development.</summary>
public sealed class MailChannel(IOptions<NotificationOptions> options, TimeProvider time) : INotificationChannel
{
    private readonly MailOptions _mail = options.Value.Mail;

    public string Name => NotificationOutbox.Mail;

    public async Task<DeliveryResult> DeliverAsync(ClaimedDelivery delivery, CancellationToken cancellationToken)
    {
        if (!MailboxAddress.TryParse(delivery.Target, out var to))
            return DeliveryResult.Refused($"'{delivery.Target}' is no mail address.");
        using var message = Compose(delivery, to);
        if (_mail.Host is null)
        {
            return _mail.PickupFolder is { } folder
                ? await WriteAsync(folder, delivery.DeliveryId, message, cancellationToken)
                : DeliveryResult.Retry("No mail server is configured: set Notifications:Mail:Host (or PickupFolder in development).");
        }

        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(_mail.TimeoutSeconds), time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await SendAsync(message, either.Token);
            return DeliveryResult.Delivered;
        }
        catch (SmtpCommandException e) when ((int)e.StatusCode >= 500)
        {
            // RFC 5321 §4.2.1: 5yz is a permanent negative reply.
            return DeliveryResult.Refused($"The mail server refused: {(int)e.StatusCode} {e.Message}");
        }
        catch (Exception e) when (e is SmtpCommandException or SmtpProtocolException or ServiceNotConnectedException or AuthenticationException
            or SslHandshakeException or NotSupportedException or IOException or SocketException)
        {
            return DeliveryResult.Retry($"Mail failed: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return DeliveryResult.Retry($"The mail server did not finish within {_mail.TimeoutSeconds} s.");
        }
    }

    /// <summary>Plain text only ever stays on this machine; elsewhere a server without TLS gets no mail.</summary>
    internal static SecureSocketOptions Security(MailOptions mail) => mail.Tls switch
    {
        MailTls.StartTls => SecureSocketOptions.StartTls,
        MailTls.Implicit => SecureSocketOptions.SslOnConnect,
        _ when mail.Port == 465 => SecureSocketOptions.SslOnConnect,
        _ => mail.IsLoopback ? SecureSocketOptions.StartTlsWhenAvailable : SecureSocketOptions.StartTls,
    };

    private async Task SendAsync(MimeMessage message, CancellationToken cancellationToken)
    {
        using var client = new SmtpClient();
        await client.ConnectAsync(_mail.Host!, _mail.Port, Security(_mail), cancellationToken);
        if (_mail is { User: { } user, Password: { } password })
            await client.AuthenticateAsync(user, password, cancellationToken);
        await client.SendAsync(message, cancellationToken);
        // Accepted is accepted: what goes wrong in saying goodbye must not send it again.
        try
        {
            await client.DisconnectAsync(quit: true, cancellationToken);
        }
        catch (Exception e) when (e is IOException or SocketException or ProtocolException or OperationCanceledException)
        {
            return;
        }
    }

    private MimeMessage Compose(ClaimedDelivery delivery, MailboxAddress to)
    {
        var from = MailboxAddress.Parse(_mail.From);
        var message = new MimeMessage
        {
            Subject = OneLine(delivery.Subject),
            Date = delivery.CreatedAt,
            // The same at every try, so that a repeat can be told.
            MessageId = $"{delivery.DeliveryId:n}@{from.Domain}",
            Body = new TextPart("plain") { Text = delivery.Text },
        };
        message.From.Add(from);
        message.To.Add(to);
        message.Headers.Add("Auto-Submitted", "auto-generated"); // RFC 3834: no out-of-office answers
        message.Headers.Add("X-AiAspire-Topic", OneLine(delivery.Topic));
        return message;
    }

    private static string OneLine(string text) => string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c));

    private static async Task<DeliveryResult> WriteAsync(string folder, Guid id, MimeMessage message, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(folder);
        var draft = Path.Combine(folder, $".{id:n}.tmp");
        await using (var file = File.Create(draft))
            await message.WriteToAsync(file, cancellationToken);
        File.Move(draft, Path.Combine(folder, $"{id:n}.eml"), overwrite: true);
        return DeliveryResult.Delivered;
    }
}
