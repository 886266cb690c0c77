using AiAspire.Core.Notifications;
using MailKit.Security;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.CoreTests.Notifications;

public sealed class MailChannelTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "COST-05")]
    public async Task A_mail_arrives_with_the_same_message_id_at_every_try()
    {
        await using var server = new SmtpStub();
        var delivery = Delivery("Budget\r\nBcc: everyone@example.com");
        var channel = Channel(new MailOptions { Host = "127.0.0.1", Port = server.Port, From = "Ai <ai@example.com>" });
        Assert.Equal(DeliveryResult.Delivered, await channel.DeliverAsync(delivery, Cancelled));
        Assert.Equal(DeliveryResult.Delivered, await channel.DeliverAsync(delivery, Cancelled));
        Assert.Equal(2, server.Messages.Count);
        Assert.All(server.Messages, m => Assert.Contains($"Message-Id: <{delivery.DeliveryId:n}@example.com>", m, StringComparison.Ordinal));
        Assert.Contains("80 % is used", server.Messages[0], StringComparison.Ordinal);
        Assert.DoesNotContain("\nBcc:", server.Messages[0], StringComparison.Ordinal);
        Assert.Equal(["RCPT TO:<ops@example.com>", "RCPT TO:<ops@example.com>"], server.Commands.Where(c => c.StartsWith("RCPT", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("550 no such user", true)]
    [InlineData("451 try later", false)]
    public async Task A_permanent_refusal_is_final_and_a_passing_one_is_not(string answer, bool final)
    {
        await using var server = new SmtpStub(answer);
        var result = await Channel(new MailOptions { Host = "127.0.0.1", Port = server.Port }).DeliverAsync(Delivery(), Cancelled);
        Assert.NotNull(result.Error);
        Assert.Equal(final, result.Final);
        Assert.Empty(server.Messages);
    }

    [Fact]
    public async Task A_server_without_tls_gets_nothing_when_tls_is_required()
    {
        await using var server = new SmtpStub();
        var result = await Channel(new MailOptions { Host = "127.0.0.1", Port = server.Port, Tls = MailTls.StartTls }).DeliverAsync(Delivery(), Cancelled);
        Assert.NotNull(result.Error);
        Assert.DoesNotContain(server.Commands, c => c.StartsWith("MAIL", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("mail.example.com", 587, SecureSocketOptions.StartTls)]
    [InlineData("mail.example.com", 25, SecureSocketOptions.StartTls)]
    [InlineData("10.0.0.5", 25, SecureSocketOptions.StartTls)]
    [InlineData("mail.example.com", 465, SecureSocketOptions.SslOnConnect)]
    [InlineData("127.0.0.1", 25, SecureSocketOptions.StartTlsWhenAvailable)]
    public void Beyond_this_machine_there_is_tls_or_no_mail(string host, int port, SecureSocketOptions expected)
        => Assert.Equal(expected, MailChannel.Security(new MailOptions { Host = host, Port = port }));

    [Fact]
    public async Task Without_a_server_mail_waits_or_lies_in_the_folder()
    {
        var waiting = await Channel(new MailOptions()).DeliverAsync(Delivery(), Cancelled);
        Assert.Contains("Notifications:Mail:Host", waiting.Error, StringComparison.Ordinal);
        Assert.False(waiting.Final);

        var folder = Directory.CreateTempSubdirectory("mail-").FullName;
        var delivery = Delivery();
        Assert.Equal(DeliveryResult.Delivered, await Channel(new MailOptions { PickupFolder = folder }).DeliverAsync(delivery, Cancelled));
        var file = Assert.Single(Directory.GetFiles(folder));
        Assert.Equal($"{delivery.DeliveryId:n}.eml", Path.GetFileName(file));
        Directory.Delete(folder, recursive: true);
    }

    private static MailChannel Channel(MailOptions mail) => new(Options.Create(new NotificationOptions { Mail = mail }), TimeProvider.System);

    private static ClaimedDelivery Delivery(string subject = "Budget") => new(
        SampleCalls.Id(), SampleCalls.Id(), SampleCalls.Id(), "mail", "ops@example.com", 1, SampleCalls.Id(), "budget", subject, "80 % is used.", "{}", SampleCalls.Now, null, null);
}
