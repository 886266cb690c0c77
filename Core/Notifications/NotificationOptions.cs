using System.ComponentModel.DataAnnotations;
using System.Net;
using Microsoft.Extensions.Options;
using MimeKit;

namespace AiAspire.Core.Notifications;

/// <summary>Section <c>Notifications</c>.</summary>
public sealed class NotificationOptions
{
    public const string Section = "Notifications";

    /// <summary>Lets webhooks reach private, loopback and link-local addresses, and plain HTTP. For development alone. Default false.</summary>
    public bool AllowPrivateTargets { get; init; }

    /// <summary>Seconds between looks at the outbox. Default 1.</summary>
    [Range(0.05, 60)]
    public double PollSeconds { get; init; } = 1;

    /// <summary>Deliveries under way at once in this process. Default 8.</summary>
    [Range(1, 256)]
    public int Concurrency { get; init; } = 8;

    /// <summary>Deliveries of one tenant under way at once, over all processes: endpoints that do not answer hold up no other tenant's. Default 4.</summary>
    [Range(1, 256)]
    public int TenantConcurrency { get; init; } = 4;

    /// <summary>Deliveries to one address or webhook under way at once, over all processes. Default 2.</summary>
    [Range(1, 256)]
    public int TargetConcurrency { get; init; } = 2;

    /// <summary>Seconds after which what a process that died was delivering is free again; longer than both time-outs. Default 60.</summary>
    [Range(1, 3600)]
    public double LeaseSeconds { get; init; } = 60;

    /// <summary>Seconds that a webhook has to answer. Default 10.</summary>
    [Range(0.1, 600)]
    public double WebhookTimeoutSeconds { get; init; } = 10;

    /// <summary>Tries until a delivery is given up. Default 10, which is about a day with the other defaults.</summary>
    [Range(1, 100)]
    public int MaxTries { get; init; } = 10;

    /// <summary>Seconds to the second try; each further wait is four times the one before, with up to 20 % taken off at random. Default 5.</summary>
    [Range(0.01, 3600)]
    public double FirstRetrySeconds { get; init; } = 5;

    /// <summary>Longest wait in seconds. Default 4 hours.</summary>
    [Range(0.01, 604_800)]
    public double MaxRetrySeconds { get; init; } = 4 * 3600;

    /// <summary>Days that finished notifications are kept, and with them the memory of what was told. Default 90.</summary>
    [Range(1, 3650)]
    public int KeepDays { get; init; } = 90;

    public MailOptions Mail { get; init; } = new();
}

/// <summary>How mail is encrypted on its way to the server.</summary>
public enum MailTls
{
    /// <summary>TLS from the start on port 465, STARTTLS elsewhere; none when the server is this machine.</summary>
    Auto,

    /// <summary>STARTTLS, or no mail.</summary>
    StartTls,

    /// <summary>TLS from the first byte.</summary>
    Implicit,
}

/// <summary>Section <c>Notifications:Mail</c>. With neither a host nor a folder, mail waits and says so.</summary>
public sealed class MailOptions
{
    /// <summary>The SMTP server.</summary>
    public string? Host { get; init; }

    [Range(1, 65_535)]
    public int Port { get; init; } = 587;

    public MailTls Tls { get; init; }

    public string? User { get; init; }

    public string? Password { get; init; }

    /// <summary>The sender.</summary>
    public string From { get; init; } = "AiAspire <aiaspire@localhost>";

    /// <summary>Seconds for a whole delivery. Default 20.</summary>
    [Range(0.1, 600)]
    public double TimeoutSeconds { get; init; } = 20;

    /// <summary>For development: mails are written here as <c>*.eml</c>. A <see cref="Host"/> wins.</summary>
    public string? PickupFolder { get; init; }

    internal bool IsLoopback => Host is not null
        && (Host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(Host, out var address) && IPAddress.IsLoopback(address)));
}

internal sealed class NotificationValidation : IValidateOptions<NotificationOptions>
{
    public ValidateOptionsResult Validate(string? name, NotificationOptions options)
    {
        var faults = new List<string>();
        if (options.LeaseSeconds <= Math.Max(options.WebhookTimeoutSeconds, options.Mail.TimeoutSeconds))
            faults.Add("Notifications:LeaseSeconds must be longer than WebhookTimeoutSeconds and Mail:TimeoutSeconds, or two processes deliver the same thing at once.");
        if (!MailboxAddress.TryParse(options.Mail.From, out _))
            faults.Add($"Notifications:Mail:From '{options.Mail.From}' is no mail address.");
        if (options.Mail.User is null != options.Mail.Password is null)
            faults.Add("Notifications:Mail needs both User and Password, or neither.");
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }
}
