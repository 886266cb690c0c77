using MimeKit;

namespace AiAspire.Core.Notifications;

public static class MailAddresses
{
    /// <summary>Whether the text is one mail address with a domain, and nothing beside it (no name, no comment, no list).</summary>
    public static bool IsPlain(string address)
        => MailboxAddress.TryParse(address, out var mailbox) && mailbox.Address == address && mailbox.Domain.Length > 0 && !address.Any(char.IsControl);
}
